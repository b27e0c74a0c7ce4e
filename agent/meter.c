#include "agent/meter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/dataplane.h"
#include "agent/service/known.h"
#include "agent/util/fsutil.h"

#define TURN_MS     1
#define PODS_MAX    1024u        /* of one report */
#define REPORT_MAX  (448u << 10) /* bytes; pods beyond it are left out */
#define PROC_MAX    (64u << 10)  /* of a file of the kernel's that is read */
#define TICK_NS(hz) (1000000000ull / (hz))

/* A container as it was last looked at. */
struct seen {
    uint64_t cpu_ns, at_ns, round;
};
/* One that runs in this round. */
struct running {
    char *id, *pod_uid, *name;
    bool known;
    int64_t cpu_nano, memory_bytes;
};
struct meter {
    struct agent *agent;
    uv_timer_t timer;
    int64_t period_ms;
    struct strmap seen; /* id -> struct seen */
    uint64_t round, began_ns, former_ns;
    uint64_t node_cpu_ns; /* as last looked at; 0 = not yet */
    struct running *running;
    unsigned count, at; /* of this round: all, and those that were looked at */
    bool in_flight, closing, tells_services;
    void (*close_cb)(void *data);
    void *close_data;
};

static void step(struct meter *m);

static void on_timer(uv_timer_t *t)
{
    step(t->data);
}

struct meter *meter_new(struct agent *a)
{
    struct meter *m = xcalloc(1, sizeof *m);
    m->agent = a;
    strmap_init(&m->seen);
    uv_timer_init(a->loop, &m->timer);
    m->timer.data = m;
    return m;
}

static void drop_running(struct meter *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        free(m->running[i].id);
        free(m->running[i].pod_uid);
        free(m->running[i].name);
    }
    free(TAKE_PTR(m->running));
    m->count = m->at = 0;
}

void meter_set_period(struct meter *m, int64_t period_ms)
{
    if (period_ms == m->period_ms || m->closing) {
        return;
    }
    m->period_ms = period_ms;
    drop_running(m);
    if (period_ms <= 0) {
        uv_timer_stop(&m->timer);
    } else {
        uv_timer_start(&m->timer, on_timer, TURN_MS, 0);
    }
}

void meter_tell_services(struct meter *m, bool tells)
{
    m->tells_services = tells;
}

/* ---- The end ---- */

static void on_timer_closed(uv_handle_t *h)
{
    struct meter *m = h->data;
    const struct strmap_entry *e;
    void (*cb)(void *data) = m->close_cb;
    void *data = m->close_data;
    for (size_t i = 0; (e = strmap_next(&m->seen, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&m->seen);
    drop_running(m);
    free(m);
    cb(data);
}

static void maybe_free(struct meter *m)
{
    if (m->closing && !m->in_flight && !uv_is_closing((uv_handle_t *)&m->timer)) {
        uv_close((uv_handle_t *)&m->timer, on_timer_closed);
    }
}

void meter_close(struct meter *m, void (*cb)(void *data), void *data)
{
    m->closing = true;
    m->close_cb = cb;
    m->close_data = data;
    uv_timer_stop(&m->timer);
    maybe_free(m);
}

/* ---- One container ---- */

static bool look(struct meter *m, const struct running *r, struct runtime_usage *out)
{
    struct agent *a = m->agent;
    char path[CGROUP_PATH_MAX], pod[CGROUP_PATH_MAX];
    struct cgroup_usage u;
    if (a->runtime->ops->usage != NULL) {
        return runtime_usage(a->runtime, r->id, out);
    }
    cgroup_pod_path(a->cgroup, r->pod_uid, pod);
    fs_path(path, sizeof path, "%s/%s", pod, r->id);
    if (cgroup_usage_brief(a->cgroup, path, &u, NULL) != 0) {
        return false;
    }
    *out = (struct runtime_usage){u.cpu_ns, u.working_set_bytes};
    return true;
}

/* Billionths of a core; -1: the count went backwards, or no time has passed. */
static int64_t rate(uint64_t cpu_ns, uint64_t former_cpu_ns, uint64_t now_ns, uint64_t former_ns)
{
    if (cpu_ns < former_cpu_ns || now_ns <= former_ns) {
        return -1;
    }
    double cores = (double)(cpu_ns - former_cpu_ns) / (double)(now_ns - former_ns);
    return (int64_t)(cores * 1e9);
}

static void measure(struct meter *m, struct running *r)
{
    struct runtime_usage u;
    if (!look(m, r, &u)) {
        return;
    }
    uint64_t now_ns = uv_hrtime();
    struct seen *s = strmap_get(&m->seen, str_of(r->id));
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        strmap_set(&m->seen, str_of(r->id), s);
    } else {
        r->cpu_nano = rate(u.cpu_ns, s->cpu_ns, now_ns, s->at_ns);
        r->memory_bytes = (int64_t)MIN(u.memory_bytes, (uint64_t)INT64_MAX);
        r->known = r->cpu_nano >= 0;
    }
    *s = (struct seen){u.cpu_ns, now_ns, m->round};
}

/* ---- The node ---- */

static uint64_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    uint64_t n = 0;
    return at != NULL && sscanf(at + strlen(key), "%" SCNu64, &n) == 1 ? n : 0;
}

/* As the kernel counts for the machine: where the control group of all says nothing. */
static uint64_t machine_cpu_ns(void)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    uint64_t user, nice, system, idle, wait, irq = 0, soft = 0;
    long hz = sysconf(_SC_CLK_TCK);
    if (hz <= 0 || fs_read_file("/proc/stat", PROC_MAX, &b, NULL) != 0 ||
        sscanf(buf_cstr(&b), "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &user, &nice, &system, &idle, &wait, &irq, &soft) < 5) {
        return 0;
    }
    return (user + nice + system + irq + soft) * TICK_NS((uint64_t)hz);
}

static int64_t machine_memory_bytes(void)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (fs_read_file("/proc/meminfo", PROC_MAX, &b, NULL) != 0) {
        return 0;
    }
    const char *text = buf_cstr(&b);
    uint64_t all = number_after(text, "MemTotal:"), left = number_after(text, "MemFree:"),
             files = number_after(text, "Inactive(file):");
    return all > left + files ? (int64_t)((all - left - files) * 1024) : 0;
}

struct node_usage {
    int64_t cpu_nano, memory_bytes;
};

/* False: the first look. */
static bool measure_node(struct meter *m, struct node_usage *out)
{
    struct cgroup_usage u = {0};
    *out = (struct node_usage){0};
    if (m->agent->hollow) { /* what its containers use */
        for (unsigned i = 0; i < m->count; i++) {
            out->cpu_nano += m->running[i].cpu_nano;
            out->memory_bytes += m->running[i].memory_bytes;
        }
        return m->former_ns != 0;
    }
    cgroup_usage_brief(m->agent->cgroup, "", &u, NULL);
    uint64_t former_ns = m->node_cpu_ns;
    m->node_cpu_ns = u.cpu_ns > 0 ? u.cpu_ns : machine_cpu_ns();
    out->memory_bytes = u.memory_bytes > 0 ? (int64_t)u.working_set_bytes : machine_memory_bytes();
    out->cpu_nano = rate(m->node_cpu_ns, former_ns, m->began_ns, m->former_ns);
    return former_ns != 0 && m->former_ns != 0 && out->cpu_nano >= 0;
}

/* ---- A report ---- */

static int by_pod(const void *a, const void *b)
{
    const struct running *x = a, *y = b;
    int c = strcmp(x->pod_uid, y->pod_uid);
    return c != 0 ? c : strcmp(x->name, y->name);
}

static void write_pod(struct buf *b, const struct running *first, unsigned count)
{
    mp_write_array(b, 2);
    mp_write_cstr(b, first->pod_uid);
    mp_write_array(b, count);
    for (unsigned i = 0; i < count; i++) {
        mp_write_array(b, 3);
        mp_write_cstr(b, first[i].name);
        mp_write_int(b, first[i].cpu_nano);
        mp_write_int(b, first[i].memory_bytes);
    }
}

/* How many there are; those of whom one is not known are left out. */
static unsigned write_pods(struct meter *m, struct buf *b)
{
    unsigned pods = 0, next;
    for (unsigned i = 0; i < m->count && pods < PODS_MAX && b->size < REPORT_MAX; i = next) {
        bool known = true;
        for (next = i; next < m->count && strcmp(m->running[next].pod_uid, m->running[i].pod_uid) == 0; next++) {
            known = known && m->running[next].known;
        }
        if (known) {
            write_pod(b, &m->running[i], next - i);
            pods++;
        }
    }
    return pods;
}

static void on_sent(const struct rpc_result *r, void *data)
{
    struct meter *m = data;
    m->in_flight = false;
    if (r->error != NULL && r->error->code != ERR_CLOSED) {
        log_debug(m->agent->log, "meter", "node.usage: %s", r->error->message);
    }
    maybe_free(m);
}

static void tell(struct meter *m, const struct node_usage *node)
{
    CLEANUP_BUF struct buf pods = BUF_INIT;
    CLEANUP_BUF struct buf params = BUF_INIT;
    unsigned count = write_pods(m, &pods);
    if (m->in_flight || !session_ready(m->agent->session)) {
        return;
    }
    const struct known *known = dataplane_known(m->agent);
    bool services = m->tells_services && known != NULL && known_revision(known) > 0;
    mp_write_map(&params, services ? 7 : 6);
    mp_write_key_str(&params, "name", str_of(m->agent->name));
    mp_write_key_int(&params, "at", env_wall_ms(m->agent->env));
    mp_write_key_int(&params, "window", (int64_t)((m->began_ns - m->former_ns) / 1000000));
    mp_write_key_int(&params, "cpu", node->cpu_nano);
    mp_write_key_int(&params, "memory", node->memory_bytes);
    if (services) {
        mp_write_key_int(&params, "services", (int64_t)known_revision(known));
    }
    mp_write_cstr(&params, "pods");
    mp_write_array(&params, count);
    buf_append(&params, pods.data, pods.size);
    m->in_flight = true;
    session_call(m->agent->session, "node.usage", buf_str(&params), on_sent, m);
}

/* ---- A round ---- */

static void begin(struct meter *m)
{
    struct runtime *rt = m->agent->runtime;
    struct runtime_status st;
    unsigned cursor = 0, cap = 0;
    bool known = rt->ops->usage == NULL || runtime_usage(rt, NULL, NULL); /* thousands of hollow nodes tell nothing */
    drop_running(m);
    m->round++;
    m->former_ns = m->began_ns;
    m->began_ns = uv_hrtime();
    while (known && m->count < METER_CONTAINERS_MAX && runtime_next(rt, &cursor, &st)) {
        if (st.state != RUNTIME_RUNNING) {
            continue;
        }
        if (m->count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            m->running = xrealloc(m->running, cap * sizeof *m->running);
        }
        m->running[m->count++] =
            (struct running){.id = xstrdup(st.id), .pod_uid = xstrdup(st.pod_uid), .name = xstrdup(st.name)};
    }
}

/* Containers that have ended since. */
static void forget_ended(struct meter *m)
{
    const struct strmap_entry *e;
    struct str *ended = xcalloc(m->seen.count + 1, sizeof *ended);
    unsigned count = 0;
    for (size_t i = 0; (e = strmap_next(&m->seen, &i)) != NULL;) {
        if (((const struct seen *)e->value)->round != m->round) {
            ended[count++] = (struct str){e->key, e->key_size};
        }
    }
    for (unsigned i = 0; i < count; i++) {
        free(strmap_remove(&m->seen, ended[i]));
    }
    free(ended);
}

static void finish(struct meter *m)
{
    struct node_usage node;
    forget_ended(m);
    if (m->count > 0) {
        qsort(m->running, m->count, sizeof *m->running, by_pod);
    }
    if (measure_node(m, &node)) {
        tell(m, &node);
    }
    drop_running(m);
    int64_t took_ms = (int64_t)((uv_hrtime() - m->began_ns) / 1000000);
    m->at = 0;
    uv_timer_start(&m->timer, on_timer, (uint64_t)MAX(m->period_ms - took_ms, (int64_t)TURN_MS), 0);
}

static void step(struct meter *m)
{
    if (m->running == NULL) {
        begin(m);
    }
    for (unsigned n = 0; m->at < m->count && n < METER_STEP; n++) {
        measure(m, &m->running[m->at++]);
    }
    if (m->at < m->count) {
        uv_timer_start(&m->timer, on_timer, TURN_MS, 0);
    } else {
        finish(m);
    }
}
