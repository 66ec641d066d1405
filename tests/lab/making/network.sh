# The machine at 192.0.2.10, and behind 192.0.2.1 the world with its receivers and its DNS.
set -e
cd "$kit"
mkdir -p /run/netns
ip link set lo up
ip netns add world
ip link add out type veth peer name in netns world
ip addr add 192.0.2.10/24 dev out && ip link set out up
ip -n world addr add 192.0.2.1/24 dev in && ip -n world link set in up && ip -n world link set lo up
for n in 25 26 27 28 29 30 31 32 40 53; do ip -n world addr add 198.51.100.$n/32 dev lo; done
ip route add default via 192.0.2.1
rm -f /etc/resolv.conf; echo "nameserver 198.51.100.53" > /etc/resolv.conf
printf '127.0.0.1 localhost\n192.0.2.10 mx.sender.example\n' > /etc/hosts
ip netns exec world "$PYTHON" world.py /mnt > /mnt/world.log 2>&1 &
for i in $(seq 100); do grep -q up /mnt/world.log && break; sleep 0.1; done

send_all() { # as soon as the server answers; then its queue gets $1 seconds
  for i in $(seq 100); do (echo > /dev/tcp/192.0.2.10/25) 2>/dev/null && break; sleep 0.1; done
  "$PYTHON" send.py
  sleep "$1"
}
