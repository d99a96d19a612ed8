/*
 * A process with something in its memory, for tests: holder WAY FIRST SECOND.
 *
 * It puts the two halves together where WAY says, so that the whole is nowhere else, says that it is done, and stays until its
 * input ends.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static char *take(size_t size, int code)
{
	int access = PROT_READ | PROT_WRITE | (code ? PROT_EXEC : 0);
	char *at = mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return at;
}

static int is_over(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	return poll(&input, 1, 0) != 0;
}

/* Goes on when the first thread has ended: the process looks as if it had ended too. */
static void *alone(void *unused)
{
	char path[64], stat[256] = "";
	(void)unused;
	snprintf(path, sizeof path, "/proc/%d/stat", getpid());
	while (!strstr(stat, ") Z")) {
		FILE *file = fopen(path, "r");
		if (file && !fgets(stat, sizeof stat, file))
			stat[0] = 0;
		if (file)
			fclose(file);
	}
	puts("done");
	fflush(stdout);
	getchar();
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	const char *way = argv[1];
	char *at;
	if (!strcmp(way, "code")) {
		at = take(MIB, 1);
	} else if (!strcmp(way, "program")) {
		at = take(MIB, 1);
		memcpy(at, "\177ELF\2\1\1", 7);
	} else if (!strcmp(way, "closed-shared")) {
		at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	} else if (!strcmp(way, "loaded")) {
		/* As a loader maps a library: the head may be read only, the code lies behind it. */
		int library = memfd_create("khien-lib", 0);
		if (ftruncate(library, 8192) || pwrite(library, "\177ELF\2\1\1", 7, 0) != 7) {
			perror("memfd");
			return 2;
		}
		volatile char *head = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, library, 0);
		mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, library, 4096);
		(void)*head;
		at = take(MIB, 0);
	} else if (!strcmp(way, "border")) {
		/* Across the end of the first block: code is scanned first. */
		at = take(8 * MIB, 1);
		memset(at, 'a', 8 * MIB);
		at += 4 * MIB - 108;
	} else if (!strcmp(way, "sparse")) {
		at = take(1024 * MIB, 0) + 512 * MIB;
		madvise(at - 512 * MIB, 1024 * MIB, MADV_NOHUGEPAGE);
		memset(at, 'a', MIB);
	} else if (!strcmp(way, "many")) {
		/* Every second page may only be read, so that each is a mapping of its own. */
		size_t page = 4096;
		at = take(60000 * page, 0);
		for (size_t n = 0; n < 60000; n += 2)
			mprotect(at + n * page, page, PROT_READ);
		at += 50001 * page;
	} else {
		at = take(MIB, 0);
	}
	sprintf(at + 100, "%s%s", argv[2], argv[3]);
	if (!strncmp(way, "closed", 6))
		mprotect(at, MIB, PROT_NONE);
	if (!strcmp(way, "headless")) {
		pthread_t thread;
		pthread_create(&thread, NULL, alone, NULL);
		syscall(SYS_exit, 0);
	}
	if (argc == 4) {
		puts("done");
		fflush(stdout);
	}
	while (!strcmp(way, "churn") && !is_over()) {
		char *more = take(16 * MIB, 0);
		memset(more, 'b', 16 * MIB);
		munmap(more, 16 * MIB);
	}
	if (!strcmp(way, "exec") && !is_over())
		execl("/proc/self/exe", argv[0], way, argv[2], argv[3], "again", NULL);
	getchar();
	return 0;
}
