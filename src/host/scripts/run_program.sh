# Runs one program. Arguments: the program and its arguments.
exec "$@"
