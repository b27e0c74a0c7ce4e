#include "tests/bench/bench_creates.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/model/msgpack.h"
#include "proto/text/text.h"

#define SETTLE_MS 1000u
#define POD                                                                                                            \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p-%05u\",\"namespace\":\"%s\",\"labels\":{"      \
    "\"app\":\"web\",\"tier\":\"front\",\"n\":\"%u\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"           \
    "\"example.com/shop/web:1.0\",\"env\":[{\"name\":\"A\",\"value\":\"a\"},{\"name\":\"B\",\"value\":\"b\"}],"        \
    "\"ports\":[{\"containerPort\":8080}],\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"}}}]}}"

/* ---- Figures ---- */

struct creates_cpu creates_cpu(const pid_t *masters)
{
    struct creates_cpu cpu = {.leader_us = kit_cpu_us(masters[0]), .bench_us = kit_cpu_us(getpid())};
    for (; *masters != 0; masters++) {
        cpu.all_us += kit_cpu_us(*masters);
    }
    return cpu;
}

static void tell(const char *name, unsigned clients, const char *what, double value, const char *unit)
{
    char text[64];
    snprintf(text, sizeof text, "%s_%u%s", name, clients, what);
    kit_line(text, value, unit);
}

void creates_tell(const char *name, unsigned clients, struct web_run *r, uint64_t us, const struct creates_cpu *before,
                  const pid_t *masters)
{
    struct creates_cpu now = creates_cpu(masters);
    tell(name, clients, "", r->answered * 1e6 / (double)us, "1/s");
    tell(name, clients, "_p50", samples_percentile(&r->took, 0.5) / 1000.0, "ms");
    tell(name, clients, "_p99", samples_percentile(&r->took, 0.99) / 1000.0, "ms");
    tell(name, clients, "_cpu", (double)(now.leader_us - before->leader_us) / r->answered, "us");
    tell(name, clients, "_all_cpu", (double)(now.all_us - before->all_us) / r->answered, "us");
    tell(name, clients, "_bench_cpu", (double)(now.bench_us - before->bench_us) / r->answered, "us");
}

/* ---- Over HTTPS ---- */

static void ask_pod(struct web *w)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char head[160];
    const char *ns = w->run->data;
    snprintf(head, sizeof head, "POST /api/v1/namespaces/%s/pods HTTP/1.1\r\nContent-Type: application/json", ns);
    buf_printf(&b, POD, w->run->next, ns, w->run->next);
    web_send(w, head, buf_str(&b));
}

/* An annotation that no other patch gives it. */
static void ask_patch(struct web *w)
{
    char head[192], body[96];
    snprintf(head, sizeof head,
             "PATCH /api/v1/namespaces/%s/pods/p-%05u HTTP/1.1\r\nContent-Type: application/merge-patch+json",
             (const char *)w->run->data, w->run->next);
    snprintf(body, sizeof body, "{\"metadata\":{\"annotations\":{\"example.com/seen\":\"%u\"}}}", w->run->next);
    web_send(w, head, str_of(body));
}

/* ---- Over msgpack-RPC ---- */

struct rpc_load {
    struct web_run as; /* what is told of it */
    const char *ns;
};
struct rpc_one {
    struct rpc_load *load;
    struct rpc_session *session;
    uint64_t sent_us;
};

static void on_created(const struct rpc_result *result, void *data);

static void rpc_next(struct rpc_one *o)
{
    CLEANUP_BUF struct buf text = BUF_INIT, b = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    arena_init(&a);
    unsigned n = ++o->load->as.next;
    buf_printf(&text, POD, n, o->load->ns, n);
    if (json_read(&a, buf_str(&text), &doc, NULL) != 0) {
        web_die("a pod", buf_cstr(&text));
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "object");
    msgpack_write_value(&b, doc);
    o->sent_us = kit_now_us();
    rpc_call(o->session, "create", buf_str(&b), 30000, on_created, o);
}

static void on_created(const struct rpc_result *result, void *data)
{
    struct rpc_one *o = data;
    struct web_run *as = &o->load->as;
    if (result->error != NULL) {
        web_die("create", result->error->message);
    }
    samples_add(&as->took, kit_now_us() - o->sent_us);
    as->done = ++as->answered == CREATES_PODS;
    if (as->next < CREATES_PODS) {
        rpc_next(o);
    }
}

static void run_rpc(struct kit *k, const char *ns, unsigned clients, const pid_t *masters)
{
    struct rpc_load load = {.ns = ns};
    struct rpc_one *ones = xcalloc(clients, sizeof *ones);
    struct creates_cpu cpu = creates_cpu(masters);
    uint64_t start = kit_now_us();
    for (unsigned i = 0; i < clients; i++) {
        ones[i] = (struct rpc_one){.load = &load, .session = k->sessions[i % k->sessions_count]};
        rpc_next(&ones[i]);
    }
    kit_run(k, &load.as.done, 120000);
    creates_tell("rpc_creates", clients, &load.as, kit_now_us() - start, &cpu, masters);
    samples_close(&load.as.took);
    free(ones);
}

/* ---- All of it ---- */

/* What follows a figure must not be paid by the next one: the pods of the last moments, accounts of namespaces. */
static void settle(struct kit *k)
{
    uint64_t end = kit_now_us() + SETTLE_MS * 1000;
    while (kit_now_us() < end) {
        uv_run(&k->loop, UV_RUN_NOWAIT);
        uv_sleep(5);
    }
}

static void run_web(struct kit *k, struct web_run *r, const char *name, void (*ask)(struct web *w), const char *ns,
                    const pid_t *masters)
{
    settle(k);
    r->data = (void *)ns;
    struct creates_cpu cpu = creates_cpu(masters);
    uint64_t us = web_run_all(r, ask, 0, CREATES_PODS);
    creates_tell(name, r->count, r, us, &cpu, masters);
}

void creates_run(struct kit *k, struct web_run *r, const char *suffix, const pid_t *masters)
{
    char body[64], ns[2][32];
    for (unsigned i = 0; i < ARRAY_SIZE(ns); i++) {
        snprintf(ns[i], sizeof ns[i], "%s%s", i == 0 ? "rest" : "rpc", suffix);
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"%s\"}}", ns[i]);
        web_one(&r->webs[0], "POST /api/v1/namespaces HTTP/1.1", str_of(body));
    }
    buf_reset(&r->webs[0].in);
    run_web(k, r, "rest_creates", ask_pod, ns[0], masters);
    settle(k);
    run_rpc(k, ns[1], r->count, masters);
}

void bench_creates(struct kit *k, unsigned clients, const pid_t *masters, const char *const *crowd,
                   unsigned crowd_count)
{
    struct web_run r;
    struct kit users[CREATES_CROWD_MAX];
    struct net_tls *as[CREATES_CROWD_MAX];
    char *address = kit_leader_address(k), suffix[16], ns[32];
    for (unsigned i = 0; i < crowd_count; i++) {
        kit_open(&users[i], crowd[i]);
        as[i] = users[i].tls;
    }
    kit_connect_leader(k);
    web_run_open_as(&r, k, address, clients, as, crowd_count);
    snprintf(suffix, sizeof suffix, "-%u", clients);
    snprintf(ns, sizeof ns, "rest%s", suffix);
    creates_run(k, &r, suffix, masters);
    run_web(k, &r, "rest_patches", ask_patch, ns, masters);
    web_run_close(&r);
    for (unsigned i = 0; i < crowd_count; i++) {
        kit_close(&users[i]);
    }
    kit_disconnect(k);
    free(address);
}
