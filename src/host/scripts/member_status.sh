# The member's process and its data directory. Arguments: manager unit run bin data wal(- for none) marker
# config, look_inside.sh.
manager=$1 unit=$2 run=$3 bin=$4 data=$5 wal=$6 marker=$7 config=$8 inside=$9
service_facts
look_inside
echo "done"
