#include "base/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LEAST_BYTES (64ull << 20) /* if nothing can be found out */

/* "max", or nothing to read: no limit. */
static uint64_t limit_of(const char *group)
{
    char path[4200];
    uint64_t bytes = UINT64_MAX;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fscanf(f, "%" SCNu64, &bytes) != 1) {
            bytes = UINT64_MAX;
        }
        fclose(f);
    }
    return bytes;
}

static uint64_t group_limit(void)
{
    char line[4096], group[4096] = "";
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (f == NULL) {
        return UINT64_MAX;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(group, sizeof group, "%s", line + 3);
        }
    }
    fclose(f);
    uint64_t least = UINT64_MAX;
    for (char *slash = group + strlen(group); slash != NULL && slash != group; slash = strrchr(group, '/')) {
        *slash = '\0'; /* at first the end: the group itself */
        uint64_t here = limit_of(group);
        least = here < least ? here : least;
    }
    return least;
}

uint64_t machine_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t built_in = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : LEAST_BYTES, group = group_limit();
    return group >= LEAST_BYTES && group < built_in ? group : built_in;
}

const char *machine_arch(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
    return "";
#endif
}
