# What is in the directories of the member's account, seen as that account. Arguments: data wal(- for none) marker config
# pid, then files: h:PATH hash, c:PATH hash and content.
data=$1 wal=$2 marker=$3 config=$4 pid=$5
shift 5
files= contents=' '
for item; do
    files="$files ${item#?:}"
    case $item in c:*) contents="$contents${item#?:} " ;; esac
done
data_directory
managed_files $files
echo "done"
