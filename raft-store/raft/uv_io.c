#include "raft-store/raft/uv_io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <raft/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/spare.h"
#include "raft-store/disk/mark.h"
#include "raft-store/raft/raft_heap.h"
#include "raft-store/raft/replica_int.h"
#include "raft-store/raft/transport_int.h"
#include "raft-store/raft/uv_stub.h"

#define BALLAST_FILE  "reeve-ballast"
#define BALLAST_BYTES (1u << 20)
#define SEGMENT_BYTES (16u << 20)
#define DISK_RETRY_MS 1000
#define DISK_WATCH_MS 2000
#define DESCRIPTORS   16u /* kept for the disk: new segments and their events, term and vote, mark, snapshots */

struct uv_io {
    struct raft_io io; /* what libraft sees; found back by CONTAINER_OF, since libraft uses its data and impl fields */
    struct raft_io disk; /* raft_uv's own methods */
    struct raft_uv_transport stub;
    struct raft_tracer tracer;
    struct transport *transport;
    struct transport_receiver receiver;
    const struct log *log;
    raft_io_recv_cb recv;
    struct list sent;     /* send requests whose callback is due */
    uv_idle_t idle;       /* runs them in the next turn of the loop */
    uv_timer_t watch;     /* of the room on the disk */
    uv_prepare_t prepare; /* gives memory of libraft's back, see raft_heap.h */
    uv_timer_t again;     /* for what is left of it */
    char *dir;
    bool low;
    bool ballast; /* was laid down */
    struct {      /* see disk/mark.h; under the lock, since a worker writes it too */
        uv_mutex_t lock;
        struct disk_mark now; /* as written */
        uv_work_t work;
        uint64_t index; /* for the worker */
        bool working, known;
    } mark;
    int (*first_promise)(void *data, struct error *err);
    void *first_promise_data;
    bool idle_closed, disk_closed;
    unsigned handles; /* idle, watch, prepare, again: not closed yet */
    raft_io_close_cb close_cb;
};

/* A send request of libraft's on its way. */
struct sending {
    struct list link;
    struct uv_io *u;
    struct raft_io_send *req;
    raft_io_send_cb cb;
    int status;
};

static struct uv_io *uv_io_of(struct raft_io *io)
{
    return CONTAINER_OF(io, struct uv_io, io);
}

/* ---- Network ---- */

static void on_idle(uv_idle_t *idle)
{
    struct uv_io *u = idle->data;
    uv_idle_stop(idle);
    struct list due;
    list_init(&due);
    while (!list_empty(&u->sent)) { /* callbacks may send again: those wait for the next turn */
        struct list *first = u->sent.next;
        list_remove(first);
        list_push_back(&due, first);
    }
    while (!list_empty(&due)) {
        struct sending *s = LIST_ENTRY(due.next, struct sending, link);
        list_remove(&s->link);
        s->cb(s->req, s->status);
        free(s);
    }
}

static void send_done(void *data, int status)
{
    struct sending *s = data;
    s->status = status;
    if (s->u->idle_closed || uv_is_closing((uv_handle_t *)&s->u->idle)) {
        s->cb(s->req, RAFT_CANCELED);
        free(s);
        return;
    }
    list_push_back(&s->u->sent, &s->link);
    uv_idle_start(&s->u->idle, on_idle);
}

static int io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message, raft_io_send_cb cb)
{
    struct uv_io *u = uv_io_of(io);
    struct sending *s = xcalloc(1, sizeof *s);
    *s = (struct sending){.u = u, .req = req, .cb = cb};
    list_init(&s->link);
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        transport_send_snapshot(u->transport, message, send_done, s);
    } else {
        send_done(s, transport_send(u->transport, message));
    }
    return 0;
}

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct uv_io *u = uv_io_of(io);
    u->recv = recv;
    return u->disk.start(io, msecs, tick, recv);
}

static void deliver(void *data, struct raft_message *message)
{
    struct uv_io *u = data;
    if (u->recv == NULL || u->close_cb != NULL) {
        raft_codec_free(message);
        return;
    }
    u->recv(&u->io, message);
}

static void forget_transport(void *data)
{
    struct uv_io *u = data;
    u->transport = NULL;
}

/* ---- Descriptors ---- */

/* raft_uv ends for good when the process has no descriptor for a new segment's events, its term or its directory: these
 * are libraft's own calls (all in one piece, without a loop), and get one of those that are kept. __real_*: absent
 * where nothing is wrapped. */
int __wrap_uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb);
int __real_uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb)
    __attribute__((weak));
int __wrap_uv_fs_scandir(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb);
int __real_uv_fs_scandir(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb) __attribute__((weak));
int __wrap_eventfd(unsigned start, int flags);
int __real_eventfd(unsigned start, int flags) __attribute__((weak));

int __wrap_uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb)
{
    int rv;
    do {
        rv = __real_uv_fs_open(loop, req, path, flags, mode, cb);
    } while (rv < 0 && cb == NULL && spare_give(-rv));
    return rv;
}

int __wrap_uv_fs_scandir(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb)
{
    int rv;
    do {
        rv = __real_uv_fs_scandir(loop, req, path, flags, cb);
    } while (rv < 0 && cb == NULL && spare_give(-rv));
    return rv;
}

int __wrap_eventfd(unsigned start, int flags)
{
    int fd;
    do {
        fd = __real_eventfd(start, flags);
    } while (fd < 0 && spare_give(errno));
    return fd;
}

/* ---- Closing segments ---- */

static void *destroy_context(void *arg)
{
    syscall(SYS_io_destroy, (unsigned long)arg);
    return NULL;
}

/* raft_uv closes the AIO context of each segment on the loop when nothing is in flight on it any more, and
 * io_destroy(2) waits for an RCU grace period of the kernel all the same: the loop stood still for about 30 ms at each
 * segment and each snapshot. Nobody looks at the result, so a thread of its own may wait. The linker puts this in
 * libraft's place of io_destroy (--wrap in the Makefile). */
int __wrap_io_destroy(unsigned long context);
int __wrap_io_destroy(unsigned long context)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 64u << 10);
    int rv = pthread_create(&thread, &attr, destroy_context, (void *)context);
    pthread_attr_destroy(&attr);
    return rv == 0 ? 0 : (int)syscall(SYS_io_destroy, context);
}

/* ---- Loading ---- */

/* Entries that share one block of memory, to a block of their own size if that spares half of it or more. */
static void tighten(struct raft_entry *entries, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += (entries[i].buf.len + 7) & ~(size_t)7;
    }
    uint8_t *old = entries[0].batch, *fresh;
    if (old == NULL || size > malloc_usable_size(old) / 2 || (fresh = raft_malloc(MAX(size, (size_t)8))) == NULL) {
        return;
    }
    uint8_t *at = fresh;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].buf.len > 0) {
            memcpy(at, entries[i].buf.base, entries[i].buf.len);
        }
        entries[i].buf.base = at;
        entries[i].batch = fresh;
        at += (entries[i].buf.len + 7) & ~(size_t)7;
    }
    assert(at == fresh + size);
    raft_free(old);
}

/* raft_uv keeps the whole file of a segment for the entries in it, 16 MiB for one that was open at a crash even if it
 * holds a few bytes, and as long as they are in the log. */
static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    int rv = uv_io_of(io)->disk.load(io, term, voted_for, snapshot, start_index, entries, n_entries);
    if (rv != 0) {
        return rv;
    }
    for (size_t i = 0, end; i < *n_entries; i = end) {
        for (end = i + 1; end < *n_entries && (*entries)[end].batch == (*entries)[i].batch; end++) {
        }
        tighten(&(*entries)[i], end - i);
    }
    raft_heap_drain(SIZE_MAX);
    malloc_trim(0);
    return 0;
}

/* ---- The mark ---- */

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    struct uv_io *u = uv_io_of(io);
    int rv = u->disk.init(io, id, address);
    u->mark.known = disk_mark_read(u->dir, &u->mark.now, NULL) == 0;
    u->mark.now.id = id;
    return rv;
}

/* What libraft has just written is what was promised, once this is on disk too. */
static int mark_metadata(struct uv_io *u)
{
    struct disk_metadata m;
    struct error err = {0};
    uv_mutex_lock(&u->mark.lock);
    struct disk_mark next = u->mark.now;
    int rv = disk_metadata_read(u->dir, &m, &err);
    if (rv == 0) {
        next.version = m.version;
        next.term = m.term;
        next.vote = m.vote;
        rv = disk_mark_write(u->dir, &next, &err);
    }
    if (rv == 0) {
        u->mark.now = next;
        u->mark.known = true;
    }
    uv_mutex_unlock(&u->mark.lock);
    if (rv != 0) {
        snprintf(u->io.errmsg, sizeof u->io.errmsg, "%.200s", err.message);
    }
    return rv == 0 ? 0 : RAFT_IOERR;
}

/* Entries and snapshots are taken only from a leader, whose term is written first. */
static int before_promise(struct uv_io *u)
{
    struct error err = {0};
    int rv = u->first_promise == NULL ? 0 : u->first_promise(u->first_promise_data, &err);
    if (rv == 0) {
        u->first_promise = NULL;
        return 0;
    }
    snprintf(u->io.errmsg, sizeof u->io.errmsg, "%.200s", err.message);
    return RAFT_IOERR;
}

/* UINT64_MAX: not known. */
static uint64_t room_of(const struct uv_io *u)
{
    struct statvfs fs;
    return statvfs(u->dir, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
}

/* A term or a vote needs a block or two; without them the master would have to stop. So some room is held back for
 * them. */
static void keep_ballast(struct uv_io *u)
{
    CLEANUP_FREE char *path = xasprintf("%s/" BALLAST_FILE, u->dir);
    CLEANUP_CLOSE int fd = spare_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && posix_fallocate(fd, 0, BALLAST_BYTES) != 0) {
        unlink(path);
    }
}

static void drop_ballast(struct uv_io *u)
{
    if (room_of(u) < BALLAST_BYTES) {
        CLEANUP_FREE char *path = xasprintf("%s/" BALLAST_FILE, u->dir);
        unlink(path);
    }
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct uv_io *u = uv_io_of(io);
    drop_ballast(u);
    int rv = before_promise(u);
    rv = rv == 0 ? u->disk.set_term(io, term) : rv;
    return rv == 0 ? mark_metadata(u) : rv;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct uv_io *u = uv_io_of(io);
    drop_ballast(u);
    int rv = before_promise(u);
    rv = rv == 0 ? u->disk.set_vote(io, id) : rv;
    return rv == 0 ? mark_metadata(u) : rv;
}

void uv_io_on_first_promise(struct uv_io *u, int (*cb)(void *data, struct error *err), void *data)
{
    u->first_promise = cb;
    u->first_promise_data = data;
}

static void mark_log(struct uv_io *u, uint64_t index)
{
    struct error err = {0};
    uv_mutex_lock(&u->mark.lock);
    struct disk_mark next = u->mark.now;
    struct disk_metadata m = {next.version, next.term, next.vote};
    int rv = u->mark.known ? 0 : disk_metadata_read(u->dir, &m, &err); /* a master that never had to vote */
    if (rv == 0 && index > next.last_index) {
        next = (struct disk_mark){next.id, m.version, m.term, m.vote, index};
        rv = disk_mark_write(u->dir, &next, &err);
        u->mark.now = rv == 0 ? next : u->mark.now;
        u->mark.known = u->mark.known || rv == 0;
    }
    uv_mutex_unlock(&u->mark.lock);
    if (err.code != 0) {
        log_warn(u->log, "disk", "%s; tried again later", err.message); /* the log is whole all the same */
    }
}

static void mark_work(uv_work_t *work)
{
    struct uv_io *u = work->data;
    mark_log(u, u->mark.index);
}

static void maybe_closed(struct uv_io *u);

static void mark_worked(uv_work_t *work, int status)
{
    (void)status;
    struct uv_io *u = work->data;
    u->mark.working = false;
    if (u->close_cb != NULL) {
        maybe_closed(u);
    }
}

static uint64_t durable_index(const struct uv_io *u)
{
    return u->transport == NULL || u->transport->replica == NULL ? 0 : replica_durable_index(u->transport->replica);
}

/* On a worker, since the loop must not wait for a busy disk. */
static void mark_from_time_to_time(struct uv_io *u)
{
    uint64_t index = durable_index(u);
    if (index > u->mark.index && !u->mark.working) {
        u->mark.index = index;
        u->mark.work.data = u;
        u->mark.working = uv_queue_work(u->watch.loop, &u->mark.work, mark_work, mark_worked) == 0;
    }
}

/* ---- Room on the disk ---- */

/* raft_uv waits in silence for room when it cannot prepare a segment: say so before it comes to that, and keep
 * users' writes out. */
static void on_watch(uv_timer_t *timer)
{
    struct uv_io *u = timer->data;
    spare_keep(DESCRIPTORS);
    mark_from_time_to_time(u);
    uint64_t free_bytes = room_of(u);
    if (free_bytes == UINT64_MAX) {
        return;
    }
    bool low = free_bytes < (u->low ? UV_IO_DISK_ENOUGH : UV_IO_DISK_LOW);
    if (low && !u->low) {
        log_error(u->log, "disk",
                  "%s: %llu MiB are free; below %u MiB only deletes and status are accepted, and without any room this "
                  "master stands still; it goes on by itself when there are %u MiB",
                  u->dir, (unsigned long long)free_bytes >> 20, UV_IO_DISK_LOW >> 20, UV_IO_DISK_ENOUGH >> 20);
    } else if (!low && u->low) {
        log_info(u->log, "disk", "%s: %llu MiB are free again", u->dir, (unsigned long long)free_bytes >> 20);
    }
    if (!low && (u->low || !u->ballast)) {
        keep_ballast(u);
        u->ballast = true;
    }
    u->low = low;
    if (u->transport != NULL && u->transport->replica != NULL) {
        char text[200];
        snprintf(text, sizeof text, "%.120s has %llu MiB free, and needs %u", u->dir,
                 (unsigned long long)free_bytes >> 20, UV_IO_DISK_ENOUGH >> 20);
        replica_set_disk_text(u->transport->replica, text);
        replica_set_disk(u->transport->replica, free_bytes < UV_IO_DISK_LAST ? REPLICA_DISK_LAST
                                                : low                        ? REPLICA_DISK_LOW
                                                                             : REPLICA_DISK_ENOUGH);
    }
}

/* ---- Memory of libraft's ---- */

static void on_again(uv_timer_t *timer)
{
    (void)timer; /* the loop comes by on_prepare */
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct uv_io *u = prepare->data;
    if (raft_heap_waiting() > 0 && raft_heap_drain(RAFT_HEAP_TURN)) {
        uv_timer_start(&u->again, on_again, 1, 0);
    }
}

/* ---- Life ---- */

static void maybe_closed(struct uv_io *u)
{
    if (u->handles == 0 && u->disk_closed && !u->mark.working) {
        u->close_cb(&u->io);
    }
}

static void on_idle_closed(uv_handle_t *handle)
{
    struct uv_io *u = handle->data;
    u->idle_closed = true;
    u->handles--;
    while (!list_empty(&u->sent)) {
        struct sending *s = LIST_ENTRY(u->sent.next, struct sending, link);
        list_remove(&s->link);
        s->cb(s->req, RAFT_CANCELED);
        free(s);
    }
    maybe_closed(u);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct uv_io *u = handle->data;
    u->handles--;
    maybe_closed(u);
}

static void on_disk_closed(struct raft_io *io)
{
    struct uv_io *u = uv_io_of(io);
    u->disk_closed = true;
    maybe_closed(u);
}

static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct uv_io *u = uv_io_of(io);
    assert(u->close_cb == NULL);
    u->close_cb = cb;
    if (durable_index(u) > 0) {
        mark_log(u, durable_index(u));
    }
    if (u->transport != NULL) {
        transport_set_receiver(u->transport, NULL);
    }
    uv_close((uv_handle_t *)&u->idle, on_idle_closed);
    uv_close((uv_handle_t *)&u->watch, on_handle_closed);
    uv_close((uv_handle_t *)&u->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&u->again, on_handle_closed);
    u->disk.close(io, on_disk_closed);
}

/* raft_uv 0.22.1 says in its trace only that a write of a segment has failed. It means to repeat it, but arms the timer
 * of something else, which takes its own data for the segment and crashes. So the write is not repeated: the master
 * stops, in order and saying why, before that timer fires (DISK_RETRY_MS), and goes on from what is on the disk when
 * it is started again. */
#define WRITE_FAILED "retry failed write"

static void on_trace(struct raft_tracer *t, int type, const void *info)
{
    struct uv_io *u = t->impl;
    const struct raft_tracer_info *i = info;
    if (type == RAFT_TRACER_DIAGNOSTIC && strncmp(i->diagnostic.message, WRITE_FAILED, strlen(WRITE_FAILED)) == 0) {
        const char *why = u->io.errmsg[0] != '\0' ? u->io.errmsg : "input/output error";
        if (u->transport != NULL && u->transport->replica != NULL) {
            replica_die(u->transport->replica, ERR_IO,
                        "a write of the log in %s has failed: %s; look at the disk, then start the master again",
                        u->dir, why);
        }
        return;
    }
    if (type == RAFT_TRACER_DIAGNOSTIC && i->diagnostic.level <= 2) {
        log_warn(u->log, "disk", "%s", i->diagnostic.message);
    }
}

int uv_io_new(uv_loop_t *loop, const char *dir, struct transport *transport, const struct log *log, struct uv_io **out,
              struct error *err)
{
    raft_heap_install();
    struct uv_io *u = xcalloc(1, sizeof *u);
    u->transport = transport;
    u->log = log;
    list_init(&u->sent);
    u->stub = uv_stub_transport();
    u->tracer = (struct raft_tracer){.impl = u, .version = 2, .emit = on_trace};
    u->dir = xstrdup(dir);
    drop_ballast(u); /* raft_uv tries the disk out, with some blocks */
    int rv = raft_uv_init(&u->io, loop, dir, &u->stub);
    if (rv != 0) {
        error_set(err, rv == RAFT_NOTFOUND ? ERR_NOT_FOUND : ERR_IO, "data directory %s: %s", dir,
                  u->io.errmsg[0] != '\0' ? u->io.errmsg : raft_strerror(rv));
        free(u->dir);
        free(u);
        return err == NULL ? ERR_IO : err->code;
    }
    raft_uv_set_segment_size(&u->io, SEGMENT_BYTES);
    raft_uv_set_auto_recovery(&u->io, false);
    raft_uv_set_disk_retry(&u->io, DISK_RETRY_MS);
    raft_uv_set_tracer(&u->io, &u->tracer);
    u->disk = u->io;
    uv_mutex_init(&u->mark.lock);
    u->io.init = io_init;
    u->io.set_term = io_set_term;
    u->io.set_vote = io_set_vote;
    u->io.load = io_load;
    u->io.start = io_start;
    u->io.send = io_send;
    u->io.close = io_close;
    uv_idle_init(loop, &u->idle);
    u->idle.data = u;
    uv_timer_init(loop, &u->watch);
    uv_timer_init(loop, &u->again);
    uv_prepare_init(loop, &u->prepare);
    u->watch.data = u->again.data = u->prepare.data = u;
    u->handles = 4;
    uv_prepare_start(&u->prepare, on_prepare);
    uv_unref((uv_handle_t *)&u->prepare);
    uv_unref((uv_handle_t *)&u->again);
    uv_timer_start(&u->watch, on_watch, DISK_WATCH_MS, DISK_WATCH_MS);
    uv_unref((uv_handle_t *)&u->watch);
    on_watch(&u->watch); /* at once: what follows may fail for want of room */
    u->receiver = (struct transport_receiver){.deliver = deliver, .forget = forget_transport, .data = u};
    transport_set_receiver(transport, &u->receiver);
    *out = u;
    return 0;
}

struct raft_io *uv_io_raft(struct uv_io *u)
{
    return &u->io;
}

void uv_io_free(struct uv_io *u)
{
    if (u == NULL) {
        return;
    }
    if (u->close_cb == NULL && !u->idle_closed) {
        /* Never started: the idle handle is not active and goes with the loop; raft_uv holds nothing but memory. */
        uv_close((uv_handle_t *)&u->idle, NULL);
        uv_close((uv_handle_t *)&u->watch, NULL);
        uv_close((uv_handle_t *)&u->prepare, NULL);
        uv_close((uv_handle_t *)&u->again, NULL);
        uv_run(u->idle.loop, UV_RUN_NOWAIT);
    }
    raft_uv_close(&u->io);
    raft_heap_drain(SIZE_MAX);
    spare_keep(0);
    uv_mutex_destroy(&u->mark.lock);
    free(u->dir);
    free(u);
}
