#include "base/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void read_memory(struct usage *u)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) {
        return;
    }
    if (fscanf(f, "%lu %lu", &pages, &resident) == 2) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        u->virtual_bytes = pages * page;
        u->resident_bytes = resident * page;
    }
    fclose(f);
}

/* The 22nd field of /proc/self/stat: ticks since the machine started. The second may hold blanks, in parentheses. */
static void read_start(struct usage *u)
{
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    if (f != NULL) {
        fclose(f);
    }
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    unsigned long long ticks;
    struct timespec now, up;
    if (p != NULL && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                            &ticks) == 1) {
        clock_gettime(CLOCK_REALTIME, &now);
        clock_gettime(CLOCK_BOOTTIME, &up);
        double booted = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
        u->started_s = booted + (double)ticks / (double)sysconf(_SC_CLK_TCK);
    }
}

static void count_descriptors(struct usage *u)
{
    struct rlimit limit;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        u->descriptors += e->d_name[0] != '.';
    }
    if (d != NULL) {
        u->descriptors--; /* the one that this takes */
        closedir(d);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        u->descriptors_max = (unsigned)limit.rlim_cur;
    }
}

void usage_now(struct usage *out)
{
    struct rusage r;
    *out = (struct usage){0};
    if (getrusage(RUSAGE_SELF, &r) == 0) {
        out->cpu_s = seconds(r.ru_utime) + seconds(r.ru_stime);
    }
    read_memory(out);
    read_start(out);
    count_descriptors(out);
}
