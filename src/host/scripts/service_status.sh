# The member's process alone. Arguments: manager unit run bin.
manager=$1 unit=$2 run=$3 bin=$4
service_facts
echo "done"
