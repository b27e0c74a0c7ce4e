/* Masters as the daemon has them: libraft's disk in real directories, messages over TLS on loopback, one loop for
 * all. */
#ifndef TESTS_RAFT_STORE_DISK_WORLD_H
#define TESTS_RAFT_STORE_DISK_WORLD_H

#include "tests/unit/proto_net_kit.h"
#include "tests/unit/raft-store_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raft-store/raft/transport.h"
#include "raft-store/raft/uv_io.h"

#define MEMBERS_MAX 3

struct world3;
struct work;
struct member {
    struct world3 *w;
    uint64_t id;
    char dir[64], address[64];
    struct net_tls *tls;
    struct net_listener *listener;
    struct transport *transport;
    struct uv_io *io;
    struct replica *replica;
    bool up, node_closed, transport_closed, fatal;
    unsigned restored;
    bool holds_jobs; /* what is for its worker waits in jobs, for release_jobs */
    struct work *jobs[4];
    unsigned jobs_count;
};
struct world3 {
    uv_loop_t loop;
    uv_check_t check;
    uv_prepare_t prepare;
    struct kit_ca ca;
    struct member members[MEMBERS_MAX + 1];
    char base[40];
    unsigned snapshot_entries;
    const struct pki_ring *seal_keys; /* then Secrets are written, too */
};

static inline void turn_all(struct world3 *w)
{
    bool did;
    do {
        did = false;
        for (unsigned id = 1; id <= MEMBERS_MAX; id++) {
            did = (w->members[id].up && replica_turn(w->members[id].replica)) || did;
        }
    } while (did);
}
static inline void on_check(uv_check_t *h)
{
    turn_all(h->data);
}
static inline void on_prepare(uv_prepare_t *h)
{
    turn_all(h->data);
}

static inline void on_committed(void *data, uint64_t revision, bool restored)
{
    (void)revision;
    ((struct member *)data)->restored += restored;
}
static inline void on_fatal(void *data, const struct error *err)
{
    (void)err;
    ((struct member *)data)->fatal = true;
}
static inline void on_peer_request(void *data, uint64_t peer_id, struct rpc_request *r, struct str method,
                                   struct mp params)
{
    struct member *m = data;
    (void)params;
    (void)method;
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "from", (int64_t)peer_id);
    mp_write_key_int(&b, "me", (int64_t)m->id);
    rpc_reply(r, buf_str(&b));
    buf_close(&b);
}
static inline void on_conn(struct net_conn *c, void *data)
{
    struct member *m = data;
    if (m->transport == NULL) {
        net_conn_close(c);
    } else {
        transport_accept(m->transport, c);
    }
}

struct work {
    uv_work_t req;
    void (*work)(void *arg), (*done)(void *arg);
    void *arg;
};
static inline void do_work(uv_work_t *req)
{
    ((struct work *)req->data)->work(((struct work *)req->data)->arg);
}
static inline void work_done(uv_work_t *req, int status)
{
    (void)status;
    struct work *w = req->data;
    w->done(w->arg);
    free(w);
}
static inline void run_async(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct work *w = xcalloc(1, sizeof *w);
    *w = (struct work){.work = work, .done = done, .arg = arg};
    struct member *m = data;
    w->req.data = w;
    if (m->holds_jobs) {
        assert_true(m->jobs_count < ARRAY_SIZE(m->jobs));
        m->jobs[m->jobs_count++] = w;
        return;
    }
    assert_int_equal(uv_queue_work(m->w->loop.data, &w->req, do_work, work_done), 0);
}
static inline void release_jobs(struct member *m)
{
    m->holds_jobs = false;
    for (unsigned i = 0; i < m->jobs_count; i++) {
        assert_int_equal(uv_queue_work(m->w->loop.data, &m->jobs[i]->req, do_work, work_done), 0);
    }
    m->jobs_count = 0;
}

static inline void world_open(struct world3 *w)
{
    memset(w, 0, sizeof *w);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&w->loop);
    w->loop.data = &w->loop;
    uv_check_init(&w->loop, &w->check);
    uv_prepare_init(&w->loop, &w->prepare);
    w->check.data = w->prepare.data = w;
    uv_check_start(&w->check, on_check);
    uv_prepare_start(&w->prepare, on_prepare);
    w->ca = kit_ca_new("test");
    strcpy(w->base, "/tmp/reeve-test-XXXXXX");
    assert_non_null(mkdtemp(w->base));
    for (unsigned id = 1; id <= MEMBERS_MAX; id++) {
        struct member *m = &w->members[id];
        char name[16];
        m->w = w;
        m->id = id;
        snprintf(m->dir, sizeof m->dir, "%s/%u", w->base, id);
        assert_int_equal(mkdir(m->dir, 0700), 0);
        snprintf(name, sizeof name, "%u", id);
        m->tls = kit_tls(&w->ca, PKI_ROLE_MASTER, name);
        static const char *const alpns[] = {ALPN_RAFT, NULL};
        struct error err = {0};
        must(net_listen(&(struct net_listener_config){.loop = &w->loop,
                                                      .tls = m->tls,
                                                      .addr = "127.0.0.1:0",
                                                      .fd = -1,
                                                      .alpns = alpns,
                                                      .conns_max = 20,
                                                      .on_conn = on_conn,
                                                      .data = m},
                        &m->listener, &err),
             &err);
        snprintf(m->address, sizeof m->address, "127.0.0.1:%d", net_listener_port(m->listener));
    }
}

/* Everything up to replica_start, whose result is returned. */
static inline int member_open(struct world3 *w, unsigned id, bool bootstrap, struct error *err)
{
    struct member *m = &w->members[id];
    m->node_closed = m->transport_closed = m->fatal = false;
    m->transport = transport_new(&(struct transport_config){.loop = &w->loop,
                                                            .tls = m->tls,
                                                            .id = id,
                                                            .address = m->address,
                                                            .snapshot_dir = m->dir,
                                                            .on_request = on_peer_request,
                                                            .data = m});
    int rc = uv_io_new(&w->loop, m->dir, m->transport, NULL, &m->io, err);
    if (rc != 0) {
        return rc;
    }
    rc = replica_new(&(struct replica_config){.id = id,
                                              .address = m->address,
                                              .io = uv_io_raft(m->io),
                                              .env = env_real(),
                                              .store = {.env = env_real(), .seal_keys = w->seal_keys},
                                              .events = {.data = m, .on_committed = on_committed, .on_fatal = on_fatal},
                                              .peers = {m->transport, transport_ask_term},
                                              .election_timeout_ms = 300,
                                              .heartbeat_ms = 50,
                                              .snapshot_entries = w->snapshot_entries,
                                              .snapshot_dir = m->dir,
                                              .run_async = run_async,
                                              .run_async_data = m},
                     &m->replica, err);
    if (rc != 0) {
        return rc;
    }
    transport_set_node(m->transport, m->replica);
    rc = bootstrap ? replica_bootstrap(m->replica, err) : 0;
    return rc != 0 ? rc : replica_start(m->replica, err);
}

static inline void member_start(struct world3 *w, unsigned id, bool bootstrap)
{
    struct error err = {0};
    must(member_open(w, id, bootstrap, &err), &err);
    w->members[id].up = true;
}

static inline void mark(void *data)
{
    *(bool *)data = true;
}

static inline void member_stop(struct world3 *w, unsigned id)
{
    struct member *m = &w->members[id];
    m->up = false;
    if (m->replica != NULL) {
        replica_close(m->replica, mark, &m->node_closed);
        KIT_UNTIL(&w->loop, m->node_closed);
    }
    transport_close(m->transport, mark, &m->transport_closed);
    m->transport = NULL;
    KIT_UNTIL(&w->loop, m->transport_closed);
    replica_free(m->replica);
    uv_io_free(m->io);
    m->replica = NULL;
    m->io = NULL;
}

static inline void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            CLEANUP_FREE char *p = xasprintf("%s/%s", path, e->d_name);
            remove_tree(p);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    remove(path);
}

static inline void world_close(struct world3 *w)
{
    for (unsigned id = 1; id <= MEMBERS_MAX; id++) {
        if (w->members[id].transport != NULL) {
            member_stop(w, id);
        }
        net_listener_close(w->members[id].listener, NULL, NULL);
        net_tls_unref(w->members[id].tls);
    }
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    kit_loop_end(&w->loop);
    kit_ca_free(&w->ca);
    remove_tree(w->base);
}

static inline struct member *leader(struct world3 *w)
{
    for (unsigned id = 1; id <= MEMBERS_MAX; id++) {
        if (w->members[id].up && replica_leading(w->members[id].replica)) {
            return &w->members[id];
        }
    }
    return NULL;
}

struct write {
    bool answered;
    int code;
};
static inline void on_write(const struct txn_result *result, const struct error *error, void *data)
{
    struct write *w = data;
    (void)result;
    w->answered = true;
    w->code = error == NULL ? 0 : error->code;
}
static inline void on_read(const struct error *error, void *data)
{
    on_write(NULL, error, data);
}

static inline void write_ok(struct world3 *w, unsigned i)
{
    struct write done = {.code = -1};
    uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
    for (unsigned tries = 0; tries < 10 && done.code != 0; tries++) {
        KIT_UNTIL(&w->loop, leader(w) != NULL);
        struct txn t;
        char name[32];
        done = (struct write){0};
        snprintf(name, sizeof name, "c%05u", i);
        txn_init(&t, "test");
        txn_set_id(&t, id);
        txn_create(&t, w->seal_keys == NULL || i % 2 != 0
                           ? config_map("default", name, "k", "v")
                           : yaml_object("{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: default}, "
                                         "data: {k: aGFsbG8=}}",
                                         name));
        replica_submit(leader(w)->replica, &t, on_write, &done, NULL);
        txn_close(&t);
        KIT_UNTIL(&w->loop, done.answered);
    }
    assert_int_equal(done.code, 0);
}

static inline uint64_t count(struct member *m)
{
    return view_count(store_committed(replica_store(m->replica)), NULL);
}

static inline void join(struct world3 *w, unsigned id)
{
    struct write done;
    member_start(w, id, false);
    do {
        done = (struct write){0};
        replica_member_add(leader(w)->replica, id, w->members[id].address, on_read, &done);
        KIT_UNTIL(&w->loop, done.answered);
    } while (done.code == ERR_BUSY);
    assert_int_equal(done.code, 0);
    struct replica_member members[8];
    KIT_UNTIL(&w->loop, ({
        unsigned voters = 0, n = replica_members(leader(w)->replica, members, 8);
        for (unsigned i = 0; i < n; i++) {
            voters += members[i].role == RAFT_VOTER;
        }
        voters == id;
    }));
}

#endif
