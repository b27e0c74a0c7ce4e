#include "tests/bench/bench_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"

static const struct load_kind kinds[] = {
    {"writes", "writes", LOAD_UPDATE, false, false},
    {"patches", "patches", LOAD_PATCH, false, false},
    {"gets", "gets", LOAD_GET, false, false},
    {"gets-follower", "follower_gets", LOAD_GET, true, false},
    {"gets-stale", "stale_gets", LOAD_GET, false, true},
};
static const struct load_kind creating = {"creates", "creates", LOAD_CREATE, false, false};

const struct load_kind *load_find(const char *what)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(what, kinds[i].what) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

void load_key_name(char out[32], unsigned i)
{
    snprintf(out, 32, "bench-%06u", i);
}

/* {v: a value that no other salt gives} */
static void write_data(struct buf *b, unsigned value_bytes, uint64_t salt)
{
    char *value = xmalloc(value_bytes);
    struct rng rng = {salt};
    for (unsigned i = 0; i < value_bytes;) {
        uint64_t r = rng_next(&rng);
        for (unsigned j = 0; j < 12 && i < value_bytes; j++, r /= 26) {
            value[i++] = (char)('a' + r % 26);
        }
    }
    mp_write_map(b, 1);
    mp_write_key_str(b, "v", (struct str){value, value_bytes});
    free(value);
}

void load_object_params(struct buf *b, const char *ns, const char *name, unsigned value_bytes, uint64_t salt)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    mp_write_map(b, 4);
    mp_write_key_str(b, "apiVersion", STR("v1"));
    mp_write_key_str(b, "kind", STR("ConfigMap"));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", str_of(name));
    mp_write_key_str(b, "namespace", str_of(ns));
    mp_write_cstr(b, "data");
    write_data(b, value_bytes, salt);
}

static void patch_params(struct buf *b, const char *ns, const char *name, unsigned value_bytes, uint64_t salt)
{
    mp_write_map(b, 5);
    mp_write_key_str(b, "kind", STR("ConfigMap"));
    mp_write_key_str(b, "namespace", str_of(ns));
    mp_write_key_str(b, "name", str_of(name));
    mp_write_key_str(b, "type", STR("merge"));
    mp_write_cstr(b, "patch");
    mp_write_map(b, 1);
    mp_write_cstr(b, "data");
    write_data(b, value_bytes, salt);
}

/* ---- The loop ---- */

struct slot {
    struct load *load;
    unsigned index;
    uint64_t start_us;
};

static void issue(struct slot *s);

static void on_answer(const struct rpc_result *result, void *data)
{
    struct slot *s = data;
    struct load *l = s->load;
    uint64_t now = kit_now_us();
    bool creates = l->kind->type == LOAD_CREATE;
    if (result->error == NULL) {
        samples_add(&l->samples, now - s->start_us);
    } else if (!(creates && result->error->code == ERR_EXISTS) && l->errors++ == 0) {
        fprintf(stderr, "bench: first error: %s\n", result->error->message);
    }
    bool over = creates ? l->next_key >= l->keys : now >= l->end_us;
    if (!over) {
        issue(s);
    } else if (--l->inflight == 0) {
        l->done = true;
    }
}

static void issue(struct slot *s)
{
    static const char *const methods[] = {"create", "update", "patch", "get"};
    struct load *l = s->load;
    char name[32];
    struct buf b = BUF_INIT;
    load_key_name(name, l->next_key++ % l->keys);
    if (l->kind->type == LOAD_GET) {
        mp_write_map(&b, 3 + l->kind->stale);
        mp_write_key_str(&b, "kind", STR("ConfigMap"));
        mp_write_key_str(&b, "namespace", str_of(l->ns));
        mp_write_key_str(&b, "name", str_of(name));
        if (l->kind->stale) {
            mp_write_key_bool(&b, "stale", true);
        }
    } else if (l->kind->type == LOAD_PATCH) {
        patch_params(&b, l->ns, name, l->value_bytes, ++l->salt);
    } else {
        load_object_params(&b, l->ns, name, l->value_bytes, ++l->salt);
    }
    s->start_us = kit_now_us();
    rpc_call(l->kit->sessions[s->index % l->kit->sessions_count], methods[l->kind->type], buf_str(&b), 30000, on_answer,
             s);
    buf_close(&b);
}

void load_run(struct load *l, unsigned inflight, double seconds)
{
    struct slot *slots = xcalloc(inflight, sizeof *slots);
    l->ns = l->ns == NULL ? "bench" : l->ns;
    l->keys = l->keys == 0 ? LOAD_KEYS : l->keys;
    l->value_bytes = l->value_bytes == 0 ? LOAD_VALUE : l->value_bytes;
    l->salt = kit_now_us() << 20; /* no value comes twice: each write changes its object */
    l->inflight = inflight;
    l->end_us = kit_now_us() + (uint64_t)(seconds * 1e6);
    for (unsigned i = 0; i < inflight; i++) {
        slots[i] = (struct slot){.load = l, .index = i};
        issue(&slots[i]);
    }
    kit_run(l->kit, &l->done, 1800000);
    free(slots);
    if (l->errors > 0) {
        fprintf(stderr, "bench: %" PRIu64 " of the calls failed\n", l->errors);
        exit(1);
    }
}

void load_print(const struct load *l, const char *suffix, unsigned inflight, double seconds)
{
    struct samples s = l->samples;
    char line[64];
    snprintf(line, sizeof line, "%s%s_%u", l->kind->line, suffix, inflight);
    kit_line(line, (double)s.count / seconds, "1/s");
    snprintf(line, sizeof line, "%s%s_%u_p50", l->kind->line, suffix, inflight);
    kit_line(line, samples_percentile(&s, 0.5) / 1000.0, "ms");
    snprintf(line, sizeof line, "%s%s_%u_p99", l->kind->line, suffix, inflight);
    kit_line(line, samples_percentile(&s, 0.99) / 1000.0, "ms");
}

/* ---- What must be there before ---- */

void load_namespace(struct kit *k, const char *ns)
{
    kit_connect_leader(k);
    struct buf b = BUF_INIT;
    struct error err;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "object");
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "apiVersion", STR("v1"));
    mp_write_key_str(&b, "kind", STR("Namespace"));
    mp_write_cstr(&b, "metadata");
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "name", str_of(ns));
    if (kit_call(k, k->sessions[0], "create", &b, NULL, &err) != 0 && err.code != ERR_EXISTS) {
        fprintf(stderr, "bench: %s\n", err.message);
        exit(1);
    }
    buf_close(&b);
}

void load_prepare(struct kit *k, const char *ns, unsigned keys, unsigned value_bytes)
{
    load_namespace(k, ns);
    struct load create = {.kit = k, .kind = &creating, .ns = ns, .keys = keys, .value_bytes = value_bytes};
    load_run(&create, 256, 0);
    samples_close(&create.samples);
}

static uint64_t all_cpu_us(const pid_t *masters)
{
    uint64_t us = 0;
    for (; *masters != 0; masters++) {
        us += kit_cpu_us(*masters);
    }
    return us;
}

static void print_cpu(const struct load *l, const char *suffix, unsigned inflight, const char *whose, uint64_t us)
{
    char line[64];
    snprintf(line, sizeof line, "%s%s_%u_%s", l->kind->line, suffix, inflight, whose);
    kit_line(line, (double)us / (double)l->samples.count, "us");
}

void load_bench(struct kit *k, const struct load_kind *kind, unsigned inflight, unsigned value_bytes, double seconds,
                const pid_t *masters)
{
    char suffix[32] = "";
    if (value_bytes != 0 && value_bytes != LOAD_VALUE) {
        snprintf(suffix, sizeof suffix, "_%ub", value_bytes);
    }
    load_prepare(k, "bench", LOAD_KEYS, value_bytes);
    if (kind->follower) {
        kit_disconnect(k);
        kit_connect_follower(k);
    }
    struct load warm = {.kit = k, .kind = kind, .value_bytes = value_bytes};
    load_run(&warm, inflight, seconds / 5);
    samples_close(&warm.samples);
    struct load l = {.kit = k, .kind = kind, .value_bytes = value_bytes};
    uint64_t start = kit_now_us(), all = all_cpu_us(masters), cpu = kit_cpu_us(masters[0]);
    load_run(&l, inflight, seconds);
    all = all_cpu_us(masters) - all;
    cpu = kit_cpu_us(masters[0]) - cpu;
    load_print(&l, suffix, inflight, (double)(kit_now_us() - start) / 1e6);
    if (masters[0] != 0) {
        print_cpu(&l, suffix, inflight, "cpu", cpu);
        print_cpu(&l, suffix, inflight, "all_cpu", all);
    }
    samples_close(&l.samples);
}
