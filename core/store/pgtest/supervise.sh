# Runs one PostgreSQL for as long as standard input stays open.
# usage: sh -c supervise.sh BIN DIR, BIN being $0
bin=$0 dir=$1

# The test binary may be gone when "ready" is written; that must not end this
# shell before it has stopped the server.
trap '' PIPE

# Only the making of the cluster skips fsync, not what tests commit to it.
if "$bin/initdb" --no-sync -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C >"$dir/log" 2>&1 &&
	"$bin/pg_ctl" start -s -w -t 60 -D "$dir/data" -l "$dir/log" -o "-c listen_addresses='' \
		-c unix_socket_directories='$dir' -c max_connections=200 -c shared_buffers=16MB" >>"$dir/log" 2>&1
then
	echo ready
	read -r _
	"$bin/pg_ctl" stop -s -m immediate -D "$dir/data" >/dev/null 2>&1
else
	cat "$dir/log"
fi
rm -rf "$dir"
