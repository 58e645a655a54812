/*
 * The least that anybody could do: a program that does nothing, and one that sets the four options to constants and
 * does nothing else.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/tcp.h>

#define SEC(name) __attribute__((section(name), used))
#define SOL_SOCKET 1
#define SO_KEEPALIVE 9

static long (*bpf_setsockopt)(void *ctx, int level, int name, void *value, int length) = (void *)BPF_FUNC_setsockopt;

SEC("sockops") int empty(struct bpf_sock_ops *ctx)
{
	return 1;
}

SEC("sockops") int constants(struct bpf_sock_ops *ctx)
{
	int interval = 15, probes = 4, idle = 60, on = 1;

	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		bpf_setsockopt(ctx, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
		bpf_setsockopt(ctx, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
		bpf_setsockopt(ctx, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		bpf_setsockopt(ctx, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	return 1;
}

SEC("license") char _license[] = "GPL";
