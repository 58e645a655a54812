// The bare iterator: sets on every established connection of a network namespace what the policy sets, and does nothing
// else. What a benchmark compares the daemon's sweep with.
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define relocated __attribute__((preserve_access_index))

#define SOL_SOCKET 1
#define SO_KEEPALIVE 9
#define IPPROTO_TCP 6
#define TCP_KEEPIDLE 4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT 6
#define TCP_ESTABLISHED 1

struct sock_common {
	volatile unsigned char skc_state;
} relocated;

struct bpf_iter__tcp {
	void *meta;
	struct sock_common *sk_common;
} relocated;

static long (*const bpf_setsockopt)(void *socket, int level, int option, void *value, int length) = (void *)49;

static __attribute__((always_inline)) inline void set(void *socket, int level, int option, int value)
{
	bpf_setsockopt(socket, level, option, &value, sizeof(value));
}

SEC("iter/tcp")
int bare(struct bpf_iter__tcp *context)
{
	struct sock_common *socket = context->sk_common;
	if (!socket || socket->skc_state != TCP_ESTABLISHED)
		return 0;
	set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 15);
	set(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 3600);
	set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
