/* How long the disk takes to make 4 KiB durable: the floor of every durable write.
 *
 * usage: disk_probe DIR [COUNT]
 * prints: bench disk_flush_p50 V ms, bench disk_flush_p99 V ms (write of 4 KiB in a preallocated file, then
 * fdatasync) */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define BLOCK     4096u
#define COUNT_MAX 100000u

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 500;
    if (argc < 2 || count == 0 || count > COUNT_MAX) {
        fprintf(stderr, "usage: disk_probe DIR [COUNT]\n");
        return 2;
    }
    CLEANUP_FREE char *path = xasprintf("%s/disk-probe.%d", argv[1], (int)getpid());
    CLEANUP_FREE double *took = xcalloc(count, sizeof *took);
    char block[BLOCK];
    memset(block, 0x5a, sizeof block);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlink(path) != 0 || posix_fallocate(fd, 0, (off_t)count * BLOCK) != 0 || fsync(fd) != 0) {
        perror(path);
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        double start = now_ms();
        if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK || fdatasync(fd) != 0) {
            perror(path);
            return 1;
        }
        took[i] = now_ms() - start;
    }
    close(fd);
    qsort(took, count, sizeof *took, compare);
    printf("bench disk_flush_p50 %.3g ms\n", took[count / 2]);
    printf("bench disk_flush_p99 %.3g ms\n", took[(size_t)(0.99 * (count - 1))]);
    return 0;
}
