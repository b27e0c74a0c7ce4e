#include "tests/bench/bench_rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/model/msgpack.h"
#include "proto/text/text.h"
#include "tests/bench/bench_web.h"

#define PODS    5000u
#define LISTS   20u
#define CROWD   400u /* without other identities... */
#define EACH    500u /* ...or of each: it may have 512 connections (proto/net/gate.h) */
#define CHANGES 50u
#define POD                                                                                                            \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p-%05u\",\"namespace\":\"%s\",\"labels\":{"      \
    "\"app\":\"web\",\"tier\":\"front\",\"n\":\"%u\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"           \
    "\"example.com/shop/web:1.0\",\"env\":[{\"name\":\"A\",\"value\":\"a\"},{\"name\":\"B\",\"value\":\"b\"}],"        \
    "\"ports\":[{\"containerPort\":8080}],\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"}}}]}}"

/* ---- Gets and creates ---- */

static void tell_rate(const char *name, unsigned clients, struct web_run *r, uint64_t us, uint64_t cpu_us)
{
    char text[64];
    snprintf(text, sizeof text, "%s_%u", name, clients);
    kit_line(text, r->answered * 1e6 / (double)us, "1/s");
    snprintf(text, sizeof text, "%s_%u_p50", name, clients);
    kit_line(text, samples_percentile(&r->took, 0.5) / 1000.0, "ms");
    snprintf(text, sizeof text, "%s_%u_p99", name, clients);
    kit_line(text, samples_percentile(&r->took, 0.99) / 1000.0, "ms");
    snprintf(text, sizeof text, "%s_%u_cpu", name, clients);
    kit_line(text, (double)cpu_us / r->answered, "us");
}

static void ask_pod(struct web *w)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, POD, w->run->next, "rest", w->run->next);
    web_send(w, "POST /api/v1/namespaces/rest/pods HTTP/1.1\r\nContent-Type: application/json", buf_str(&b));
}

static void ask_get(struct web *w)
{
    char head[96];
    snprintf(head, sizeof head, "GET /api/v1/namespaces/rest/pods/p-%05u HTTP/1.1", 1 + w->run->next % PODS);
    web_send(w, head, STR_NONE);
}

/* The same pods over msgpack-RPC, as many in flight. */
struct rpc_load {
    struct kit *k;
    unsigned next, answered;
    bool done;
    struct samples took;
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
    unsigned n = ++o->load->next;
    buf_printf(&text, POD, n, "rpc", n);
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
    if (result->error != NULL) {
        web_die("create", result->error->message);
    }
    samples_add(&o->load->took, kit_now_us() - o->sent_us);
    o->load->done = ++o->load->answered == PODS;
    if (o->load->next < PODS) {
        rpc_next(o);
    }
}

static void bench_creates(struct kit *k, struct web_run *r, unsigned clients, pid_t leader)
{
    uint64_t cpu = kit_cpu_us(leader), us = web_run_all(r, ask_pod, 0, PODS);
    tell_rate("rest_creates", clients, r, us, kit_cpu_us(leader) - cpu);
    struct rpc_load load = {.k = k};
    struct rpc_one *ones = xcalloc(clients, sizeof *ones);
    uint64_t start = kit_now_us();
    cpu = kit_cpu_us(leader);
    for (unsigned i = 0; i < clients; i++) {
        ones[i] = (struct rpc_one){.load = &load, .session = k->sessions[i % k->sessions_count]};
        rpc_next(&ones[i]);
    }
    kit_run(k, &load.done, 120000);
    struct web_run as = {.answered = load.answered, .took = load.took};
    tell_rate("rpc_creates", clients, &as, kit_now_us() - start, kit_cpu_us(leader) - cpu);
    samples_close(&load.took);
    free(ones);
}

/* ---- Lists ---- */

static void bench_list(struct web *w, const char *name, const char *headers, pid_t leader)
{
    char head[256], text[64];
    snprintf(head, sizeof head, "GET /api/v1/namespaces/rest/pods?resourceVersion=0 HTTP/1.1%s", headers);
    web_one(w, head, STR_NONE);
    w->run->took.count = 0;
    uint64_t cpu = kit_cpu_us(leader);
    for (unsigned i = 0; i < LISTS; i++) {
        web_one(w, head, STR_NONE);
    }
    cpu = kit_cpu_us(leader) - cpu;
    snprintf(text, sizeof text, "rest_list_%u_%s", PODS, name);
    kit_line(text, samples_percentile(&w->run->took, 0.5) / 1000.0, "ms");
    snprintf(text, sizeof text, "rest_list_%u_%s_cpu", PODS, name);
    kit_line(text, (double)cpu / LISTS / 1000.0, "ms");
    snprintf(text, sizeof text, "rest_list_%u_%s_size", PODS, name);
    kit_line(text, (double)w->in.size / 1e6, "MB");
}

/* ---- What does nothing, and watches ---- */

static double resident_kib(pid_t pid)
{
    char path[64], text[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(text, sizeof text, f) != NULL) {
        if (sscanf(text, "VmRSS: %lf", &kib) == 1) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

static void settle(struct kit *k, uint64_t ms)
{
    uint64_t end = kit_now_us() + ms * 1000;
    while (kit_now_us() < end) {
        uv_run(&k->loop, UV_RUN_NOWAIT);
        uv_sleep(5);
    }
}

static void ask_version(struct web *w)
{
    web_send(w, "GET /version HTTP/1.1", STR_NONE);
}

static void tell_crowd(unsigned count, const char *what, double value, const char *unit)
{
    char text[64];
    snprintf(text, sizeof text, "rest_watch_%u_%s", count, what);
    kit_line(text, value, unit);
}

static void bench_crowd(struct kit *k, struct web *writer, const char *address, pid_t leader, struct net_tls *const *as,
                        unsigned as_count)
{
    struct web_run crowd;
    unsigned count = as_count == 0 ? CROWD : as_count * EACH;
    double before = resident_kib(leader);
    web_run_open_as(&crowd, k, address, count, as, as_count);
    web_run_all(&crowd, ask_version, 0, count);
    settle(k, 2000);
    double idle = resident_kib(leader);
    kit_line("rest_idle_connection", (idle - before) / count, "KiB");
    crowd.watches = true;
    for (unsigned i = 0; i < count; i++) {
        web_send(&crowd.webs[i], "GET /api/v1/namespaces/rest/configmaps?watch=1&resourceVersion=0 HTTP/1.1", STR_NONE);
    }
    settle(k, 2000);
    kit_line("rest_idle_watch", (resident_kib(leader) - idle) / count, "KiB");
    web_one(writer, "POST /api/v1/namespaces/rest/configmaps HTTP/1.1", STR("{\"metadata\":{\"name\":\"seen\"}}"));
    settle(k, 1000);
    crowd.took.count = 0;
    uint64_t cpu = kit_cpu_us(leader);
    for (unsigned i = 0; i < CHANGES; i++) {
        char mark[32], body[96];
        snprintf(mark, sizeof mark, "change-%05u", i);
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"seen\"},\"data\":{\"k\":\"%s\"}}", mark);
        crowd.mark = mark;
        crowd.told = 0;
        crowd.done = false;
        for (unsigned j = 0; j < count; j++) {
            buf_reset(&crowd.webs[j].in);
            crowd.webs[j].sent_us = kit_now_us();
        }
        buf_reset(&writer->in);
        web_send(writer, "PUT /api/v1/namespaces/rest/configmaps/seen HTTP/1.1", str_of(body));
        kit_run(k, &crowd.done, 60000);
        crowd.mark = NULL;
    }
    cpu = kit_cpu_us(leader) - cpu;
    tell_crowd(count, "p50", samples_percentile(&crowd.took, 0.5) / 1000.0, "ms");
    tell_crowd(count, "p99", samples_percentile(&crowd.took, 0.99) / 1000.0, "ms");
    tell_crowd(count, "cpu", (double)cpu / CHANGES / count, "us");
    web_run_close(&crowd);
}

void bench_rest(struct kit *k, unsigned clients, double seconds, pid_t leader, const char *const *crowd,
                unsigned crowd_count)
{
    struct web_run r, alone;
    struct kit users[REST_CROWD_MAX];
    struct net_tls *as[REST_CROWD_MAX];
    for (unsigned i = 0; i < crowd_count; i++) {
        kit_open(&users[i], crowd[i]);
        as[i] = users[i].tls;
    }
    char *address = kit_leader_address(k);
    kit_connect_leader(k);
    web_run_open(&alone, k, address, 1);
    web_run_open(&r, k, address, clients);
    web_one(&alone.webs[0], "POST /api/v1/namespaces HTTP/1.1", STR("{\"metadata\":{\"name\":\"rest\"}}"));
    web_one(&alone.webs[0], "POST /api/v1/namespaces HTTP/1.1", STR("{\"metadata\":{\"name\":\"rpc\"}}"));
    settle(k, 1000); /* accounts of the namespaces */
    bench_creates(k, &r, clients, leader);
    web_run_all(&r, ask_get, seconds / 5, 0);
    uint64_t cpu = kit_cpu_us(leader), us = web_run_all(&r, ask_get, seconds, 0);
    tell_rate("rest_gets", clients, &r, us, kit_cpu_us(leader) - cpu);
    web_run_close(&r);
    bench_list(&alone.webs[0], "json", "", leader);
    bench_list(&alone.webs[0], "table", "\r\nAccept: application/json;as=Table;v=v1;g=meta.k8s.io", leader);
    bench_list(&alone.webs[0], "gzip", "\r\nAccept-Encoding: gzip", leader);
    bench_crowd(k, &alone.webs[0], address, leader, as, crowd_count);
    web_run_close(&alone);
    for (unsigned i = 0; i < crowd_count; i++) {
        kit_close(&users[i]);
    }
    kit_disconnect(k);
    free(address);
}
