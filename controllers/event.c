/* Events and the hash of pod templates. Source: core/v1 Event, the client recorder's correlation by (object, reason,
 * message, source). */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "controllers/controller.h"
#include "controllers/util.h"
#include "proto/text/text.h"
#include "raft-store/store/event.h"

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

static void put(struct reconcile_out *out, const struct reconcile_in *in, struct event_words *w, const char *type,
                const char *reason, const char *component, bool once)
{
    w->warning = strcmp(type, "Warning") == 0;
    w->reason = reason;
    w->component = component;
    struct value *doc = event_document(out->arena, w);
    if (event_in_txn(out->txn, out->arena, doc) ||
        (once &&
         view_get(in->view, kind_by_id(KIND_EVENT), event_namespace(doc), event_name(out->arena, doc)) != NULL)) {
        return;
    }
    /* One that is too large is none: the reconcile goes on without. */
    event_put(out->txn, out->arena, in->view, doc, in->wall_ms, 0, NULL);
}

static void tell(struct reconcile_out *out, const struct reconcile_in *in, const struct object *about, const char *type,
                 const char *reason, const char *component, bool once, const char *fmt, va_list ap)
{
    assert(about != NULL && reason != NULL);
    struct event_words w = event_about(about);
    w.message = str_of(arena_vprintf(out->arena, fmt, ap));
    put(out, in, &w, type, reason, component, once);
}

void controller_event(struct reconcile_out *out, const struct reconcile_in *in, const struct object *about,
                      const char *type, const char *reason, const char *component, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(out, in, about, type, reason, component, false, fmt, ap);
    va_end(ap);
}

void controller_event_once(struct reconcile_out *out, const struct reconcile_in *in, const struct object *about,
                           const char *type, const char *reason, const char *component, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(out, in, about, type, reason, component, true, fmt, ap);
    va_end(ap);
}
