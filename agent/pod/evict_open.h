/* Bytes on the node's disk that no directory holds any more: files that were deleted, and that a process of a container
 * still has open or mapped. Found by walking /proc/PID/fd and /proc/PID/maps of its processes; blocking, for worker
 * threads.
 *
 * Not found: files that only lie in a socket's queue (SCM_RIGHTS). Of an image's file that is deleted while it is open
 * the bytes count as well, though they are not the pod's. */
#ifndef AGENT_POD_EVICT_OPEN_H
#define AGENT_POD_EVICT_OPEN_H

#include <stdint.h>
#include <sys/types.h>

/* Descriptors and mappings that are looked at for one pod in a round; the next round begins with another process. */
#define EVICT_OPEN_MAX 262144u

struct evict_open {
    dev_t disk;    /* files on this one count, and those on any overlay */
    unsigned left; /* what may still be looked at, of EVICT_OPEN_MAX */
    unsigned turn; /* which process is the first; any number */
    struct evict_open_seen {
        uint64_t *slots;
        uint32_t count, cap;
    } seen; /* files that were told of */
    /* path: as the process sees it, or saw it before it was deleted. Each file once. */
    void (*found)(const char *path, uint64_t bytes, void *data);
    void *data;
};
/* procs: a file with a process number on each line (cgroup.procs); nothing there is fine. */
void evict_open_measure(struct evict_open *o, const char *procs);
void evict_open_close(struct evict_open *o);

#endif
