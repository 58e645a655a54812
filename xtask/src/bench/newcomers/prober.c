// Makes cgroups, one after the other, and sees how soon each has its policy.
//
//     prober make ROOT COUNT POLICIES     prints, for each, the nanoseconds from its making until the map of policies has
//                                         one for it, which is the last that a daemon does
//     prober spin                         keeps a processor busy
//
// It asks the map alone, four times a millisecond, and sleeps in between. It comes before all others where it may, so that
// what is measured is when the policy was there, and not when this program got to see it. Not more often: where a daemon
// shares its processor, each question takes some ten microseconds from it, with what the caches lose. Asked every 20, one
// that needs half a millisecond took up to a hundred.
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 250000
#define PATIENCE_NS 20000000000LL

struct key {
	uint64_t cgroup;
	uint32_t attach_type;
	uint32_t pad;
};

static union bpf_attr attr;
static char value[4096];

static void fail(const char *what)
{
	fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void rest(long nanoseconds)
{
	struct timespec time = { .tv_nsec = nanoseconds };
	nanosleep(&time, NULL);
}

static int open_map(const char *pin)
{
	attr.pathname = (uintptr_t)pin;
	int map = syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
	if (map < 0)
		fail(pin);
	return map;
}

static int is_in_force(int map, uint64_t cgroup)
{
	struct key key = { .cgroup = cgroup, .attach_type = BPF_CGROUP_SOCK_OPS };
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	// The first number is the mode, which is 0 where nothing was written yet.
	return !syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) && value[0];
}

static long long wait_for_policy(const char *path, int map)
{
	struct stat made;
	if (mkdir(path, 0755))
		fail(path);
	long long start = now(), waited = 0;
	if (stat(path, &made))
		fail(path);
	while (!is_in_force(map, made.st_ino)) {
		waited = now() - start;
		if (waited > PATIENCE_NS) {
			fprintf(stderr, "%s has no policy\n", path);
			exit(1);
		}
		rest(PAUSE_NS);
	}
	waited = now() - start;
	if (rmdir(path))
		fail(path);
	return waited;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "spin"))
		for (;;)
			;
	if (argc != 5 || strcmp(argv[1], "make"))
		return 2;
	struct sched_param first = { .sched_priority = 1 };
	// Where this is not allowed, it goes on as everybody else.
	sched_setscheduler(0, SCHED_FIFO, &first);
	prctl(PR_SET_TIMERSLACK, 1);
	int map = open_map(argv[4]), count = atoi(argv[3]);
	char path[4096];
	for (int i = 0; i < count; i++) {
		// Not in step with anything.
		rest(1000000 + random() % 3000000);
		snprintf(path, sizeof(path), "%s/new%d", argv[2], i);
		printf("%lld\n", wait_for_policy(path, map));
	}
	return 0;
}
