/* Events and the hash of pod templates. Source: core/v1 Event, the client recorder's correlation by (object, reason,
 * message, source). */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "controllers/controller.h"
#include "controllers/util.h"
#include "proto/facts/event.h"
#include "proto/text/text.h"

void template_hash(struct arena *a, const struct value *pod_template, int64_t collision_count, char out[16])
{
    /* Letters and digits that spell no words and are safe in any label value. */
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    (void)a;
    CLEANUP_BUF struct buf json = BUF_INIT;
    json_write_canonical(&json, pod_template);
    if (collision_count > 0) {
        buf_printf(&json, "#%lld", (long long)collision_count);
    }
    uint64_t h = XXH64(json.data, json.size, 0);
    for (unsigned i = 0; i < 10; i++) {
        out[i] = letters[h % (sizeof letters - 1)];
        h /= sizeof letters - 1;
    }
    out[10] = '\0';
}

static struct value *involved_object(struct arena *a, const struct object *about)
{
    struct value *v = value_map(a);
    value_set(a, v, "kind", value_cstr(a, about->kind->name));
    if (about->kind->namespaced) {
        value_set(a, v, "namespace", value_str(a, about->ns));
    }
    value_set(a, v, "name", value_str(a, about->name));
    value_set(a, v, "uid", value_str(a, about->uid));
    value_set(a, v, "apiVersion", value_cstr(a, about->kind->api_version));
    return v;
}

static const struct txn_op *event_in_txn(const struct txn *t, struct str ns, struct str name)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (t->ops[i].kind->id == KIND_EVENT && str_eq(t->ops[i].name, name) && str_eq(t->ops[i].ns, ns)) {
            return &t->ops[i];
        }
    }
    return NULL;
}

void controller_event(struct reconcile_out *out, const struct reconcile_in *in, const struct object *about,
                      const char *type, const char *reason, const char *component, const char *fmt, ...)
{
    assert(about != NULL && reason != NULL);
    struct arena *a = out->arena;
    struct str ns = about->kind->namespaced ? about->ns : STR("default");
    if (namespace_closed(in->view, ns)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    char *message = arena_vprintf(a, fmt, ap);
    va_end(ap);
    /* Equal events have equal names: repeating one finds the first and counts it up. */
    char *identity = arena_printf(a, "%.*s/%.*s/%s/%s/%s/%s", STR_ARG(about->uid), STR_ARG(about->name),
                                  about->kind->name, reason, component, message);
    struct str name = name_of_event(a, about->name, XXH64(identity, strlen(identity), 0));
    if (event_in_txn(out->txn, ns, name) != NULL) {
        return;
    }
    struct error err = {0};
    const struct object *former = view_get(in->view, kind_of(KIND_EVENT), ns, name);
    if (former != NULL) {
        struct value *doc = object_to_value(a, former);
        event_set_again(a, doc, in->wall_ms, out->txn->count);
        txn_update_value(out->txn, former->kind, doc, TXN_PART_ALL, former->revision, &err);
        return;
    }
    struct value *doc = value_map(a), *metadata = value_map(a), *source = value_map(a);
    value_set(a, metadata, "name", value_str(a, name));
    value_set(a, metadata, "namespace", value_str(a, ns));
    value_set(a, source, "component", value_cstr(a, component));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Event"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, doc, "involvedObject", involved_object(a, about));
    value_set(a, doc, "reason", value_cstr(a, reason));
    value_set(a, doc, "message", value_cstr(a, message));
    value_set(a, doc, "source", source);
    value_set(a, doc, "type", value_cstr(a, type));
    event_set_first(a, doc, in->wall_ms, out->txn->count, "reeve-master");
    txn_create_value(out->txn, kind_of(KIND_EVENT), doc, &err);
}
