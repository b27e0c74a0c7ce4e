/* Container logs in the CRI format: reading (tail, since, follow, limit, going on from a place), and rotation.
 *
 * A line: `2026-01-02T03:04:05.678901234Z stdout F text`; tag P means that the line goes on in the next record. A log
 * is a chain of files: PATH.N ... PATH.1, PATH (newest). Source: Kubernetes' CRI logging format (kubelet logs
 * package). Loop thread only. */
#ifndef AGENT_RUNTIME_LOGFILE_H
#define AGENT_RUNTIME_LOGFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define LOGFILE_LINE_MAX  (16u << 10) /* conmon cuts records at this size */
#define LOGFILE_CHUNK_MAX (64u << 10) /* given to on_data at once */

/* ---- Pure ---- */

struct logfile_line {
    struct str stamp; /* RFC 3339 with nanoseconds */
    int64_t wall_ms;
    int fd;          /* 1 stdout, 2 stderr */
    bool partial;    /* tag P: no line end after the text */
    struct str text; /* without the final newline */
};
/* One record without its newline. false if malformed (a torn line after a crash): callers skip it. */
bool logfile_parse(struct str record, struct logfile_line *out);

/* ---- Where ---- */

#define LOGFILE_PATH_MAX 768 /* FS_BASE_MAX, a name of 255, a container of 63, numbers */
/* ROOT/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log, as kubelet lays them out; of POD only as much as a directory's name
 * holds. */
void logfile_path(char out[LOGFILE_PATH_MAX], const char *root, const char *ns, const char *pod, const char *uid,
                  const char *container, unsigned attempt);
/* The pod's directory with all its logs; for removal after the pod is gone. Blocking, short. */
int logfile_remove_pod(const char *root, const char *ns, const char *pod, const char *uid, struct error *err);
/* Remove logs of a container's attempts older than keep_from (kubelet keeps the last one or two). */
void logfile_remove_old(const char *root, const char *ns, const char *pod, const char *uid, const char *container,
                        unsigned keep_from);

/* ---- Reading ---- */

/* How far a reader has come, so that another one, also after a restart of the agent, goes on there: no line lost, none
 * told twice. A file is known by its first bytes (a record begins with its time to the nanosecond), wherever rotation
 * has put it; of a file that was rotated away nothing is left, which is a gap and is said. */
#define LOGFILE_HEAD_BYTES 128u
struct logfile_position {
    uint64_t offset; /* behind the last record given; 0: none was given yet, everything is to come */
    uint64_t head; /* hash of the file's first LOGFILE_HEAD_BYTES, or of its first `offset` bytes if those are fewer */
    bool in_line;  /* that record was partial: its line goes on */
};
struct logfile_options {
    int64_t tail_lines;    /* -1 = all */
    int64_t since_wall_ms; /* 0 = all */
    int64_t limit_bytes;   /* 0 = none; of the output */
    bool follow;
    bool timestamps;
    bool resume; /* go on at `after`; tail_lines is not looked at */
    struct logfile_position after;
};
struct logfile_reader;
struct logfile_events {
    /* First callback, before any data: where to begin is known. May be NULL. */
    void (*on_begin)(struct logfile_reader *r, void *data);
    /* Records between what was given and what comes are not there any more. May be NULL. */
    void (*on_gap)(struct logfile_reader *r, void *data);
    /* Output text, as `logs` prints it; borrowed. */
    void (*on_data)(struct logfile_reader *r, const uint8_t *p, size_t n, void *data);
    /* If it is set, instead of on_data: one record after the other, without time stamps; fd: 1 stdout, 2 stderr. Of
     * what was read at once the rest comes although it is paused. Not with limit_bytes. */
    void (*on_record)(struct logfile_reader *r, int fd, struct str text, bool line_ends, void *data);
    /* With on_record: so much was read at once; it may be paused now, or canceled. May be NULL. */
    void (*on_step)(struct logfile_reader *r, void *data);
    /* Last callback; r is freed after it. error NULL = regular end: end of the file without follow, limit, or
     * logfile_finish. */
    void (*on_end)(struct logfile_reader *r, const struct error *error, void *data);
};
/* Never NULL; ERR_NOT_FOUND comes through on_end. */
struct logfile_reader *logfile_read(uv_loop_t *loop, const char *path, const struct logfile_options *o,
                                    const struct logfile_events *events, void *data);
void logfile_pause(struct logfile_reader *r, bool pause); /* no on_data while paused */
/* Behind what on_data has given so far; from on_begin on. (Behind the cut of limit_bytes it means nothing.) */
struct logfile_position logfile_tell(const struct logfile_reader *r);
/* The container has exited: read what is there to the end, then on_end (for followers). */
void logfile_finish(struct logfile_reader *r);
/* The receiver went away: no callback any more, freed by us. */
void logfile_cancel(struct logfile_reader *r);

/* ---- Rotation ---- */

/* If PATH is larger than max_bytes: PATH.i -> PATH.i+1 (at most max_files in all, the oldest is deleted), PATH ->
 * PATH.1. Returns true if it was renamed: the writer must then be told to reopen. Blocking, short. The runtime does
 * this by itself for running containers, every ten seconds. */
bool logfile_rotate(const char *path, uint64_t max_bytes, unsigned max_files);

#endif
