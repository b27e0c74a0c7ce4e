/* A node made of paper for tests of the pod machines: virtual time, and every order to the outside is a word in a log.
 * Answers are given by the test. Orders read "sandbox", "network", "mount", "pull web", "start web/0", "term web",
 * "kill web", "hook web", "probe web liveness", "clean containers"..., events "Created web: Created container web". */
#ifndef TESTS_UNIT_AGENT_FAKES_H
#define TESTS_UNIT_AGENT_FAKES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/pod/status.h"
#include "proto/text/text.h"

struct world {
    struct env env;
    int64_t now_ms, wall_ms;
    struct pod_node node;
    struct refs *refs;
    struct pod *pod;
    struct buf orders, events, journal;
    int mount_error, handler_error, start_error; /* what the next calls return; with the message below */
    const char *error_message;
    bool tells_leaving; /* "leave" is a word, too */
    bool secrets_lack;  /* for the pull of images */
    bool gone;
};

static inline int64_t fake_now(void *data)
{
    return ((struct world *)data)->now_ms;
}
static inline int64_t fake_wall(void *data)
{
    return ((struct world *)data)->wall_ms;
}
static inline void fake_random(void *data, void *bytes, size_t n)
{
    (void)data;
    memset(bytes, 7, n);
}

/* ---- Orders become words ---- */

static inline struct world *world_of(const struct pod *p)
{
    return p->node->data;
}
static inline void order(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void order(struct world *w, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_printf(&w->orders, "%s%s", w->orders.size == 0 ? "" : ", ", text);
}
static inline void fake_sandbox(struct pod *p)
{
    order(world_of(p), "sandbox");
}
static inline void fake_network(struct pod *p)
{
    order(world_of(p), "network");
}
static inline void fake_clean(struct pod *p, enum pod_clean step)
{
    static const char *const names[POD_CLEAN_STEPS] = {"containers", "network", "sandbox", "volumes", "cgroup", "logs"};
    order(world_of(p), "clean %s", names[step]);
}
static inline int fake_mount(struct pod *p, struct error *err)
{
    struct world *w = world_of(p);
    order(w, "mount");
    return w->mount_error == 0 ? 0 : error_set(err, w->mount_error, "%s", w->error_message);
}
static inline int fake_handler(struct pod *p, struct error *err)
{
    struct world *w = world_of(p);
    return w->handler_error == 0 ? 0 : error_set(err, w->handler_error, "%s", w->error_message);
}
static inline void fake_volumes_update(struct pod *p)
{
    order(world_of(p), "update volumes");
}
static inline void fake_leave(struct pod *p)
{
    struct world *w = world_of(p);
    if (w->tells_leaving) {
        order(w, "leave");
    }
}
static inline void fake_pull(struct container *c)
{
    order(world_of(c->pod), "pull %s", c->spec->name);
}
static inline bool fake_lacks(const struct container *c)
{
    return world_of(c->pod)->secrets_lack;
}
static inline int fake_start(struct container *c, struct error *err)
{
    struct world *w = world_of(c->pod);
    if (w->start_error != 0) {
        return error_set(err, w->start_error, "%s", w->error_message);
    }
    order(w, "start %s/%u", c->spec->name, container_next_attempt(c));
    return 0;
}
static inline void fake_kill(struct container *c, bool force)
{
    order(world_of(c->pod), "%s %s", force ? "kill" : "term", c->spec->name);
}
static inline void fake_forget(struct container *c, unsigned attempt)
{
    order(world_of(c->pod), "forget %s/%u", c->spec->name, attempt);
}
static inline void fake_hook(struct container *c, const struct podspec_handler *h, int64_t timeout_ms)
{
    (void)h, (void)timeout_ms;
    order(world_of(c->pod), "hook %s", c->spec->name);
}
static inline void fake_probe(struct container *c, int which)
{
    order(world_of(c->pod), "probe %s %s", c->spec->name, probe_title(which));
}
static inline void fake_event(struct pod *p, const struct container *c, bool warning, const char *reason,
                              const char *message)
{
    struct world *w = world_of(p);
    (void)c;
    buf_printf(&w->events, "%s%s: %s\n", warning ? "!" : "", reason, message);
}
static inline void fake_journal(struct pod *p, const struct container *c, const char *what, const char *why)
{
    buf_printf(&world_of(p)->journal, "%s %s (%s)\n", what, c == NULL ? "-" : c->spec->name, why);
}
static inline void fake_changed(struct pod *p)
{
    (void)p;
}
static inline void fake_wake(struct pod *p)
{
    (void)p;
}
static inline void fake_gone(struct pod *p)
{
    world_of(p)->gone = true;
}
static const struct pod_ops fake_ops = {
    .handler_find = fake_handler,
    .sandbox_make = fake_sandbox,
    .network_add = fake_network,
    .clean = fake_clean,
    .volumes_mount = fake_mount,
    .volumes_update = fake_volumes_update,
    .leave = fake_leave,
    .image_ensure = fake_pull,
    .pull_lacks = fake_lacks,
    .start = fake_start,
    .kill = fake_kill,
    .forget = fake_forget,
    .hook = fake_hook,
    .probe = fake_probe,
    .event = fake_event,
    .journal = fake_journal,
    .changed = fake_changed,
    .wake = fake_wake,
    .gone = fake_gone,
};

/* ---- Objects from JSON with single quotes (a backtick stands for the single quote itself) ---- */

static inline struct object *object_of(const char *json)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct error err = {0};
    struct value *doc;
    struct object *o = NULL;
    arena_init(&a);
    for (const char *p = json; *p != '\0'; p++) {
        buf_putc(&text, *p == '\'' ? '"' : *p == '`' ? '\'' : *p);
    }
    if (json_read(&a, buf_str(&text), &doc, &err) != 0) {
        fail_msg("%s", err.message);
    }
    const struct kind *k = kind_by_name(value_to_str(value_get(doc, "kind")));
    assert_non_null(k);
    if (kind_check_fields(k, &a, doc, 0, &err) != 0 || object_from_value(k, doc, 7, &o, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return o;
}
/* A pod web/default with uid u1; spec without the outer braces, extra metadata beginning with a comma. */
static inline struct podspec *spec_with(const char *metadata, const char *spec, const char *status)
{
    CLEANUP_FREE char *json = xasprintf(
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','uid':'u1'%s},'spec':{%s},"
        "'status':{%s}}",
        metadata, spec, status);
    struct object *o = object_of(json);
    struct podspec *s = NULL;
    struct error err = {0};
    if (podspec_new(o, &s, &err) != 0) {
        fail_msg("%s", err.message);
    }
    object_unref(o);
    return s;
}
static inline struct podspec *spec_of(const char *spec)
{
    return spec_with("", spec, "");
}

/* ---- The world ---- */

static inline void world_init(struct world *w)
{
    *w = (struct world){.now_ms = 1000000, .wall_ms = 1767323045000};
    w->env = (struct env){w, fake_now, fake_wall, fake_random, NULL};
    w->refs = refs_new();
    w->node = (struct pod_node){
        .ops = &fake_ops,
        .env = &w->env,
        .facts = {.node_name = "n1",
                  .host_ip = "192.0.2.1",
                  .pod_ip = "",
                  .node_cpu_milli = 2000,
                  .node_memory_bytes = 4ll << 30,
                  .refs = w->refs},
        .runtime_name = "crun",
        .data = w,
    };
}
static inline void world_open(struct world *w, const char *spec)
{
    world_init(w);
    w->pod = pod_new(&w->node, spec_of(spec));
}
static inline void world_close(struct world *w)
{
    if (w->pod != NULL) {
        w->pod->pending = 0; /* whatever the test left unanswered */
    }
    pod_free(w->pod);
    refs_free(w->refs);
    buf_close(&w->orders);
    buf_close(&w->events);
    buf_close(&w->journal);
}
/* The orders since the last look. */
#define expect_orders(w, text)                                                                                         \
    do {                                                                                                               \
        assert_string_equal(buf_cstr(&(w)->orders), (text));                                                           \
        buf_reset(&(w)->orders);                                                                                       \
    } while (0)
#define assert_event(w, text)    assert_non_null(strstr(buf_cstr(&(w)->events), (text)))
#define assert_no_event(w, text) assert_null(strstr(buf_cstr(&(w)->events), (text)))

static inline void pass_ms(struct world *w, int64_t ms)
{
    w->now_ms += ms;
    w->wall_ms += ms;
    if (pod_deadline(w->pod) <= w->now_ms) {
        pod_tick(w->pod, w->now_ms);
    }
}
static inline struct container *box(struct world *w, const char *name)
{
    struct container *c = pod_find(w->pod, str_of(name));
    assert_non_null(c);
    return c;
}
static inline void image_there(struct world *w, const char *name)
{
    container_on_image(box(w, name), "", NULL);
}
static inline void image_missing(struct world *w, const char *name)
{
    struct error err;
    error_set(&err, ERR_NOT_FOUND, "no such image");
    container_on_image(box(w, name), "ErrImagePull", &err);
}
static inline void has_started(struct world *w, const char *name)
{
    struct container *c = box(w, name);
    struct runtime_status st = {.attempt = container_next_attempt(c),
                                .state = RUNTIME_RUNNING,
                                .image_ref = "sha256:aa",
                                .started_ms = w->wall_ms};
    struct runtime_started r = {.status = &st, .reason = ""};
    container_on_started(c, &r);
}
static inline void not_started(struct world *w, const char *name, const char *reason, const char *message)
{
    struct error err;
    error_set(&err, ERR_SYSTEM, "%s", message);
    struct runtime_started r = {.error = &err, .reason = reason};
    container_on_started(box(w, name), &r);
}
static inline void has_exited(struct world *w, const char *name, int code)
{
    struct container *c = box(w, name);
    struct runtime_status st = {.attempt = c->attempt,
                                .state = RUNTIME_EXITED,
                                .exit_code = code,
                                .signal = code > 128 ? code - 128 : 0,
                                .reason = "",
                                .message = "",
                                .started_ms = c->started_wall_ms,
                                .finished_ms = w->wall_ms};
    container_on_exit(c, &st);
}
/* From the order to the containers' turn. */
static inline void up_to_containers(struct world *w)
{
    pod_go(w->pod);
    pod_on_sandbox(w->pod, NULL);
    pod_on_network(w->pod, "10.1.0.5", NULL);
    buf_reset(&w->orders);
}
static inline void run_container(struct world *w, const char *name)
{
    image_there(w, name);
    has_started(w, name);
}
static inline void clean_up(struct world *w)
{
    while (w->pod->state == POD_CLEANING) {
        pod_on_clean(w->pod, NULL);
    }
    buf_reset(&w->orders);
}
/* A member of the status document, scalars as text. */
static inline const char *status_text(struct world *w, struct arena *a, const char *path)
{
    struct value *v = status_document(w->pod, w->wall_ms, a);
    CLEANUP_FREE char *copy = xstrdup(path);
    char *save = NULL;
    for (char *part = strtok_r(copy, ".", &save); part != NULL && v != NULL; part = strtok_r(NULL, ".", &save)) {
        if (v->type == VALUE_LIST) {
            struct value *named = value_find(v, "name", str_of(part));
            v = named != NULL ? named : value_find(v, "type", str_of(part));
        } else {
            v = value_get(v, part);
        }
    }
    if (v == NULL) {
        return "<none>";
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (v->type == VALUE_STR) {
        return arena_strndup(a, v->str.p, v->str.n);
    }
    json_write(&out, v, 0);
    return arena_strndup(a, (const char *)out.data, out.size);
}
#define assert_status(w, path, text)                                                                                   \
    do {                                                                                                               \
        struct arena arena_;                                                                                           \
        arena_init(&arena_);                                                                                           \
        assert_string_equal(status_text((w), &arena_, (path)), (text));                                                \
        arena_close(&arena_);                                                                                          \
    } while (0)

#endif
