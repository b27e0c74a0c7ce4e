#include "tests/fault/workload.h"

#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_MS 12000

/* ---- Objects ---- */

static struct value *config_map(struct arena *a, const char *name, int64_t number, const char *tag)
{
    struct value *doc = value_map(a), *metadata = value_map(a), *data = value_map(a);
    value_set(a, metadata, "name", value_cstr(a, name));
    value_set(a, metadata, "namespace", value_cstr(a, NAMESPACE));
    value_set(a, data, "n", value_cstr(a, arena_printf(a, "%lld", (long long)number)));
    value_set(a, data, "tag", value_cstr(a, tag));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, doc, "data", data);
    return doc;
}

static void copy_text(char *out, size_t size, struct str s)
{
    snprintf(out, size, "%.*s", STR_ARG(s));
}

void seen_of(const struct object *o, struct seen *out)
{
    struct mp data = mp_get(object_mp(o), "data");
    char number[24];
    *out = (struct seen){.revision = o->revision};
    copy_text(out->name, sizeof out->name, o->name);
    copy_text(out->tag, sizeof out->tag, mp_str(mp_get(data, "tag")));
    copy_text(number, sizeof number, mp_str(mp_get(data, "n")));
    out->number = strtoll(number, NULL, 10);
}

/* ---- Writes ---- */

static enum deed_outcome outcome_of(int code)
{
    return code == 0                             ? DEED_DONE
           : code == ERR_UNKNOWN_OUTCOME         ? DEED_UNKNOWN
           : err_class(code) == ERR_CLASS_CALLER ? DEED_REFUSED
                                                 : DEED_FAILED;
}

static void write_one(struct api *a, struct arena *arena, const char *method, struct value *object, struct deed *d)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    struct error err = {0};
    struct value *params = value_map(arena);
    value_set(arena, params, "object", object);
    d->start_us = fault_now_us();
    d->outcome = outcome_of(api_write(a, arena, method, params, &reply, &err));
    d->end_us = fault_now_us();
    d->revision = (uint64_t)mp_int(mp_get(reply.result, "revision"), 0);
    if (d->outcome == DEED_REFUSED && (d->type == DEED_CREATE || err.code != ERR_CONFLICT)) {
        fprintf(stderr, "fault: %s %s was refused: %s\n", method, d->tag, err.message);
    }
}

void create_one(struct api *a, const char *name, struct deeds *deeds)
{
    CLEANUP_ARENA struct arena arena;
    struct deed d = {.type = DEED_CREATE};
    arena_init(&arena);
    snprintf(d.tag, sizeof d.tag, "%s", name);
    write_one(a, &arena, "create", config_map(&arena, name, 0, name), &d);
    deeds_add(deeds, &d);
}

void registers_make(struct api *a)
{
    for (unsigned i = 0; i < REGISTERS; i++) {
        CLEANUP_ARENA struct arena arena;
        char name[TAG_SIZE];
        struct deed d = {.type = DEED_CREATE};
        arena_init(&arena);
        snprintf(name, sizeof name, "reg-%u", i);
        snprintf(d.tag, sizeof d.tag, "%s", name);
        write_one(a, &arena, "create", config_map(&arena, name, 0, "start"), &d);
        if (d.outcome != DEED_DONE) {
            exit(1);
        }
    }
}

/* ---- Reads ---- */

/* The object, for who wants to write it; NULL if there was no answer. */
static struct object *read_one(struct api *a, unsigned reg, struct deeds *deeds)
{
    char name[TAG_SIZE];
    struct object *o = NULL;
    struct error err = {0};
    struct deed d = {.type = DEED_READ, .reg = reg, .start_us = fault_now_us()};
    snprintf(name, sizeof name, "reg-%u", reg);
    int rc = api_get(a, kind_by_id(KIND_CONFIGMAP), NAMESPACE, name, false, &o, &err);
    d.end_us = fault_now_us();
    d.outcome = rc == 0 ? DEED_DONE : DEED_FAILED;
    if (rc == 0) {
        struct seen s;
        seen_of(o, &s);
        d.number = s.number;
        d.revision = s.revision;
    } else if (err_class(rc) == ERR_CLASS_CALLER) {
        fprintf(stderr, "fault: get %s: %s\n", name, err.message);
        d.outcome = DEED_DONE;
        d.number = -1; /* a register cannot be missing: judged as a stale read */
    }
    deeds_add(deeds, &d);
    return o;
}

static void increment_one(struct api *a, unsigned reg, const char *tag, struct deeds *deeds)
{
    CLEANUP_OBJECT struct object *o = read_one(a, reg, deeds);
    CLEANUP_ARENA struct arena arena;
    if (o == NULL) {
        return;
    }
    arena_init(&arena);
    struct seen s;
    seen_of(o, &s);
    struct deed d = {.type = DEED_INCREMENT, .reg = reg, .number = s.number + 1};
    snprintf(d.tag, sizeof d.tag, "%s", tag);
    struct value *doc = config_map(&arena, s.name, d.number, tag);
    value_set(&arena, value_get(doc, "metadata"), "resourceVersion",
              value_cstr(&arena, arena_printf(&arena, "%llu", (unsigned long long)o->revision)));
    write_one(a, &arena, "update", doc, &d);
    deeds_add(deeds, &d);
}

/* ---- Threads ---- */

/* The same masters, another one first: so the load spreads. */
static void rotated(const struct config_target *from, unsigned by, struct config_target *to)
{
    *to = *from;
    for (unsigned i = 0; i < from->servers_count; i++) {
        to->servers[i] = from->servers[(i + by) % from->servers_count];
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct config_target target;
    struct api *a;
    struct error err = {0};
    rotated(w->target, w->index, &target);
    if (api_new(&target, DEADLINE_MS, false, &a, &err) != 0) {
        fault_die("client", &err);
    }
    for (unsigned i = 0; !__atomic_load_n(w->stop, __ATOMIC_ACQUIRE); i++) {
        char tag[TAG_SIZE];
        if (w->type == DEED_CREATE) {
            snprintf(tag, sizeof tag, "u-%u-%u", w->index, i);
            create_one(a, tag, &w->deeds);
        } else if (w->type == DEED_INCREMENT) {
            snprintf(tag, sizeof tag, "i-%u-%u", w->index, i);
            increment_one(a, (w->index + i) % REGISTERS, tag, &w->deeds);
        } else {
            object_unref(read_one(a, i % REGISTERS, &w->deeds));
        }
        if (w->pause_ms > 0) {
            fault_sleep_ms(w->pause_ms);
        }
    }
    api_free(a);
    return NULL;
}

void worker_start(struct worker *w)
{
    if (pthread_create(&w->thread, NULL, work, w) != 0) {
        fault_die("thread", NULL);
    }
}

void worker_join(struct worker *w, struct deeds *into)
{
    pthread_join(w->thread, NULL);
    deeds_join(into, &w->deeds);
}

void list_end(struct api *a, struct seens *out)
{
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_CONFIGMAP), .ns = NAMESPACE};
    struct error err = {0};
    if (api_list(a, &q, &list, &err) != 0) {
        fault_die("list at the end", &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        struct seen s;
        seen_of(list.items[i], &s);
        s.listed = true;
        seens_add(out, &s);
    }
}
