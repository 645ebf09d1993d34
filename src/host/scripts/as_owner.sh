# Runs another of quorate's scripts as the account that the member's data belong to. Arguments: whether anything may have
# them open (0|1), manager unit run data wal(- for none), the script, its arguments.
idle=$1 manager=$2 unit=$3 run=$4 data=$5 wal=$6 script=$7
shift 7
if [ "$idle" = 1 ]; then refuse_in_use; fi
belongs "$data" "$wal"
apart_with "$keeper" sh -c "$script" quorate "$@"
