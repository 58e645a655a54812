// The calls without which no cgroup is governed, changed, adopted or let go of, in a loop and with nothing between them:
// what a benchmark compares the daemon with.
//
//     bare govern|change|adopt|release|count ROOT COUNT PROGRAM POLICIES PINS
//     bare follow ROOT 0 PROGRAM POLICIES PINS
//
// `follow` governs what is made in ROOT from then on, until it is killed. For the others the cgroups are ROOT/c0, ROOT/c1 and so on; the program and the map of policies are those that the daemon pinned, so
// that what the kernel makes for each link is the same. Prints the nanoseconds that the loop took, or how many of the
// cgroups have the program and a policy.
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct key {
	uint64_t cgroup;
	uint32_t attach_type;
	uint32_t pad;
};

static union bpf_attr attr;
static char value[4096], path[4096], names[2][4096];

static void fail(const char *what)
{
	fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static int bpf(int command)
{
	return syscall(SYS_bpf, command, &attr, sizeof(attr));
}

static int pinned(const char *file)
{
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)file;
	int fd = bpf(BPF_OBJ_GET);
	if (fd < 0)
		fail(file);
	return fd;
}

static int element(int command, int map, uint64_t cgroup)
{
	struct key key = { .cgroup = cgroup, .attach_type = BPF_CGROUP_SOCK_OPS };
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	return bpf(command);
}

// The first number is the mode of the policy.
static void write_policy(int map, uint64_t cgroup, char mode)
{
	value[0] = mode;
	if (element(BPF_MAP_UPDATE_ELEM, map, cgroup))
		fail("write a policy");
}

static void govern(const char *cgroup, uint64_t id, int program, int map, const char *pin)
{
	int directory = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = program;
	attr.link_create.target_fd = directory;
	attr.link_create.attach_type = BPF_CGROUP_SOCK_OPS;
	int link = bpf(BPF_LINK_CREATE);
	if (link < 0)
		fail("attach");
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)pin;
	attr.bpf_fd = link;
	if (bpf(BPF_OBJ_PIN))
		fail("pin");
	write_policy(map, id, 1);
	close(link);
	close(directory);
}

static void adopt(int map, const char *pin)
{
	struct bpf_link_info info = {};
	int link = pinned(pin);
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = link;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD))
		fail("describe a link");
	if (element(BPF_MAP_LOOKUP_ELEM, map, info.cgroup.cgroup_id))
		fail("read a policy");
	close(link);
}

static void release(uint64_t id, int map, const char *pin)
{
	int link = pinned(pin);
	write_policy(map, id, 0);
	memset(&attr, 0, sizeof(attr));
	attr.link_detach.link_fd = link;
	if (bpf(BPF_LINK_DETACH))
		fail("detach");
	close(link);
	if (unlink(pin))
		fail("remove a pin");
}

static int is_governed(const char *cgroup, uint64_t id, int map)
{
	uint32_t programs[64];
	int directory = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), attached;
	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = directory;
	attr.query.attach_type = BPF_CGROUP_SOCK_OPS;
	attr.query.prog_ids = (uintptr_t)programs;
	attr.query.prog_cnt = 64;
	if (bpf(BPF_PROG_QUERY))
		fail("ask for programs");
	attached = attr.query.prog_cnt;
	close(directory);
	static const char nothing[sizeof(value)];
	memset(value, 0, sizeof(value));
	return attached > 0 && !element(BPF_MAP_LOOKUP_ELEM, map, id) && memcmp(value, nothing, sizeof(value));
}

static void follow(const char *root, int program, int map, const char *pins)
{
	static char events[65536] __attribute__((aligned(8)));
	int watch = inotify_init1(IN_CLOEXEC);
	if (inotify_add_watch(watch, root, IN_CREATE | IN_DELETE | IN_ONLYDIR) < 0)
		fail(root);
	puts("following");
	fflush(stdout);
	for (;;) {
		ssize_t length = read(watch, events, sizeof(events));
		if (length < 0)
			fail("read events");
		for (char *at = events; at < events + length;) {
			struct inotify_event *event = (void *)at;
			struct stat made;
			snprintf(names[0], sizeof(names[0]), "%s/%s", root, event->name);
			snprintf(names[1], sizeof(names[1]), "%s/%s", pins, event->name);
			if (event->mask & IN_DELETE)
				unlink(names[1]);
			else if (!stat(names[0], &made))
				govern(names[0], made.st_ino, program, map, names[1]);
			at += sizeof(*event) + event->len;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	const char *verb = argv[1], *root = argv[2], *pins = argv[6];
	int count = atoi(argv[3]), program = pinned(argv[4]), map = pinned(argv[5]), governed = 0;
	if (!strcmp(verb, "follow"))
		follow(root, program, map, pins);
	uint64_t *ids = calloc(count, sizeof(*ids));
	for (int i = 0; i < count; i++) {
		struct stat found;
		snprintf(path, sizeof(path), "%s/c%d", root, i);
		if (stat(path, &found))
			fail(path);
		ids[i] = found.st_ino;
	}
	struct timespec start, end;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < count; i++) {
		snprintf(names[0], sizeof(names[0]), "%s/c%d", root, i);
		snprintf(names[1], sizeof(names[1]), "%s/c%d", pins, i);
		if (!strcmp(verb, "govern"))
			govern(names[0], ids[i], program, map, names[1]);
		else if (!strcmp(verb, "change"))
			write_policy(map, ids[i], 2);
		else if (!strcmp(verb, "adopt"))
			adopt(map, names[1]);
		else if (!strcmp(verb, "release"))
			release(ids[i], map, names[1]);
		else if (!strcmp(verb, "count"))
			governed += is_governed(names[0], ids[i], map);
		else
			return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!strcmp(verb, "count"))
		printf("%d\n", governed);
	else
		printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec);
	return 0;
}
