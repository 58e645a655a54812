# The first process of the namespaces of a containerd. It starts and signals containerd as its input says; when it ends,
# which it does at the end of its input, the kernel kills all that is left in them.
#
# init.sh DIRECTORY CONTAINERD
set -eu
directory=$1
containerd=$2

# The runtime passes mounts on to containers only from where mounts are shared. Of these namespaces, nothing gets out.
mount --make-rshared /
# The paths that the runtime and the network plugins know without being told.
mount --bind "$directory/run" /run/containerd
mount --bind "$directory/cni-cache" /var/lib/cni

while read -r order; do
  case $order in
    start)
      "$containerd" --config "$directory/config.toml" </dev/null &
      pid=$!
      ;;
    STOP | CONT)
      kill -s "$order" "$pid"
      ;;
    TERM)
      kill -s TERM "$pid"
      wait "$pid" || true
      echo "containerd has ended"
      ;;
  esac
done
