#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/kit.h"
#include "tests/fault/trial.h"

#define PROCESSES 1000 /* clients are 0 .. 999; each unknown outcome adds this */

/* ---- Life ---- */

/* The same masters, another one first: so the load spreads, and some client sits at each side of every cut. */
static void rotate(const struct config_target *from, unsigned by, struct config_target *to)
{
    *to = *from;
    for (unsigned i = 0; i < from->servers_count; i++) {
        to->servers[i] = from->servers[(i + by) % from->servers_count];
    }
}

void client_open(struct client *c, struct trial *t, unsigned index, int64_t deadline_ms)
{
    struct error err = {0};
    *c = (struct client){.trial = t, .index = index, .process = index};
    c->rng.state = rng_next(&t->rng);
    hist_init(&c->hist);
    rotate(&t->cluster.target, index, &c->target);
    if (api_new(&c->target, deadline_ms, false, &c->api, &err) != 0) {
        fault_die("client", &err);
    }
}

void client_close(struct client *c)
{
    api_free(c->api);
    hist_close(&c->hist);
}

static void *work(void *arg)
{
    struct client *c = arg;
    const struct workload *w = c->trial->config.workload;
    while (!__atomic_load_n(&c->trial->stop, __ATOMIC_ACQUIRE)) {
        w->turn(c);
        fault_sleep_ms((int64_t)rng_below(&c->rng, (uint64_t)w->pause_ms * 2 + 1));
    }
    return NULL;
}

void client_start(struct client *c)
{
    if (pthread_create(&c->thread, NULL, work, c) != 0) {
        fault_die("thread", NULL);
    }
}

void client_join(struct client *c)
{
    pthread_join(c->thread, NULL);
    if (c->wrong > 0) {
        trial_fail(c->trial, "client %u was refused %u times without reason, first: %s", c->index, c->wrong,
                   c->wrong_text);
    }
    hist_join(&c->trial->hist, &c->hist);
}

int64_t client_unique(struct client *c)
{
    return ++c->counter * 100 + c->index;
}

/* ---- Calls ---- */

static enum hist_outcome outcome_of(int code)
{
    if (code == 0) {
        return HIST_OK;
    }
    /* "Refused for want of space" is as definite as any refusal; other troubles of a master's system are not. */
    bool definite = err_class(code) == ERR_CLASS_CALLER || err_class(code) == ERR_CLASS_RETRY || code == ERR_NO_SPACE;
    return definite ? HIST_FAIL : HIST_INFO;
}

void client_judge_refusal(struct client *c, int code)
{
    const int *expected = c->trial->config.workload->refusals;
    while (*expected != 0 && *expected != code) {
        expected++;
    }
    if (code != 0 && err_class(code) == ERR_CLASS_CALLER && *expected == 0 && c->wrong++ == 0) {
        snprintf(c->wrong_text, sizeof c->wrong_text, "%.199s", c->error.message);
    }
}

enum hist_outcome client_write(struct client *c, struct arena *a, const char *method, struct value *params,
                               struct api_reply *reply, int *code)
{
    *code = api_write(c->api, a, method, params, reply, &c->error);
    client_judge_refusal(c, *code);
    return outcome_of(*code);
}

void client_done(struct client *c, size_t op, enum hist_outcome outcome)
{
    if (outcome != HIST_OK) {
        hist_set_error(&c->hist, op, c->error.message);
    }
    hist_complete(&c->hist, op, outcome, fault_now_us());
    if (outcome == HIST_INFO) {
        c->process += PROCESSES;
    }
}

/* ---- Objects ---- */

struct value *client_object(struct arena *a, const char *name, const char *label, const char *text, uint64_t revision)
{
    struct value *doc = value_map(a), *metadata = value_map(a), *labels = value_map(a), *data = value_map(a);
    value_set(a, metadata, "name", value_cstr(a, name));
    value_set(a, metadata, "namespace", value_cstr(a, "default"));
    if (revision != 0) {
        value_set(a, metadata, "resourceVersion", value_cstr(a, arena_printf(a, "%llu", (unsigned long long)revision)));
    }
    value_set(a, labels, "set", value_cstr(a, label));
    value_set(a, metadata, "labels", labels);
    value_set(a, data, "v", value_cstr(a, text));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, doc, "data", data);
    return doc;
}

struct value *client_object_params(struct arena *a, struct value *object)
{
    struct value *params = value_map(a);
    value_set(a, params, "object", object);
    return params;
}

struct value *client_op(struct arena *a, struct value *ops, const char *op, struct value *object)
{
    struct value *row = value_map(a);
    value_set(a, row, "op", value_cstr(a, op));
    if (object != NULL) {
        value_set(a, row, "object", object);
    }
    value_append(a, ops, row);
    return row;
}

struct str client_text(const struct object *o)
{
    return mp_str(mp_path(object_mp(o), "data.v"));
}

int64_t client_number(const struct object *o)
{
    char text[32];
    struct str s = client_text(o);
    snprintf(text, sizeof text, "%.*s", STR_ARG(s));
    return strtoll(text, NULL, 10);
}

int client_list(struct client *c, const char *label, struct api_list *out)
{
    char selector[64];
    snprintf(selector, sizeof selector, "set=%s", label);
    struct api_list_query q = {.kind = kind_by_id(KIND_CONFIGMAP), .ns = "default", .label_selector = selector};
    return api_list(c->api, &q, out, &c->error);
}
