/* delete and deletecollection: the rules of grace, finalizers and propagation are controllers/deletion.h's. */
#include <string.h>

#include "master/admission/row.h"
#include "master/api/delete.h"
#include "master/api/write.h"
#include "master/master.h"
#include "proto/schema/selector.h"

static int request_deletion(struct api_call *c, struct txn *t, const struct object *o,
                            const struct deletion_options *options, struct error *err)
{
    return deletion_request(t, c->arena, o, options, env_wall_ms(c->m->env), err);
}

void verb_delete(struct api_call *c, const struct api_delete *q)
{
    const struct api_target *of = &q->of;
    struct txn t;
    struct error err = {0};
    api_txn_init(&t, &q->how);
    bool repeat = api_repeats(c, &t);
    const struct object *o = repeat ? NULL : view_get(api_tip(c), of->kind, of->ns, of->name);
    if (!repeat && o == NULL) {
        error_not_found(&err, of->kind, of->name);
    } else if (!repeat && admission_remove(api_tip(c), c->who, o, &err) == 0) {
        request_deletion(c, &t, o, &q->options, &err);
    }
    if (err.code != 0) {
        api_refuse_of(c, of, &err);
    } else {
        struct write *w = write_new(c, API_DELETE);
        write_add(w, of->kind, of->ns, of->name, o);
        write_submit(w, &q->how, &t);
    }
    txn_close(&t);
}

/* ---- deletecollection ----
 *
 * As in Kubernetes this is no transaction: what there was when it began is deleted piece by piece, each piece in a
 * transaction of its own and in a turn of its own (front/turns.h), so thousands of objects stand in nobody's way. If it
 * fails on the way (an election, its time is over), what was deleted stays deleted, and asking again goes on.
 *
 * The request's id belongs to the last transaction. For that the last match of each piece is held back for the next
 * one: so the last transaction deletes something, and is remembered (but for somebody who deletes just that one
 * meanwhile: then a repetition of the request begins anew). */
struct clearing {
    struct view *view; /* of the tip when it began */
    struct view_iter it;
    const struct kind *kind;
    struct selector *labels, *fields;
    struct deletion_options options;
    struct api_write how;
    uint8_t id[TXN_ID_SIZE];
    const struct object *held; /* the view's */
    unsigned count;
    bool ended; /* the last piece is on its way */
};

#define PIECE_BYTES (1u << 20) /* of a piece's transaction, with the last object on top */

void clear_let_go(struct api_call *c)
{
    if (c->clearing != NULL) {
        view_unref(c->clearing->view);
        c->clearing = NULL;
    }
}

unsigned api_deleted(const struct api_call *c)
{
    return c->clearing == NULL ? 0 : c->clearing->count;
}

static bool is_cleared(const struct api_call *c, const struct view *v, const struct object *o)
{
    const struct clearing *l = c->clearing;
    return admission_remove(v, c->who, o, NULL) == 0 && (l->labels == NULL || selector_matches_object(l->labels, o)) &&
           (l->fields == NULL || field_selector_matches(l->fields, o));
}

/* What was found may have been changed since, so that it does not match any more, or be gone; another object may have
 * its name. */
static int clear_one(struct api_call *c, struct txn *t, const struct object *found, struct error *err)
{
    struct clearing *l = c->clearing;
    const struct object *o = view_get(api_tip(c), l->kind, found->ns, found->name);
    if (o == NULL || (o != found && (!str_eq(o->uid, found->uid) || !is_cleared(c, api_tip(c), o)))) {
        return 0;
    }
    CLEANUP_ARENA struct arena scratch;
    arena_init(&scratch);
    int rv = deletion_request(t, &scratch, o, &l->options, env_wall_ms(c->m->env), err);
    l->count += rv == 0 ? 1 : 0;
    return rv;
}

static int clear_piece(struct api_call *c, struct txn *t, struct error *err)
{
    struct clearing *l = c->clearing;
    for (unsigned visits = 0; visits < TURNS_PIECE_VISITS && t->size_bytes < PIECE_BYTES && !l->ended; visits++) {
        const struct object *o = view_next(&l->it), *before = l->held;
        l->ended = o == NULL;
        if (o != NULL && !is_cleared(c, l->view, o)) {
            continue;
        }
        l->held = o;
        int rv = before == NULL ? 0 : clear_one(c, t, before, err);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static void submit_piece(struct api_call *c, struct txn *t)
{
    const struct clearing *l = c->clearing;
    struct write *w = write_new(c, API_DELETECOLLECTION);
    struct api_write how = l->how; /* in the arena, with its id */
    w->counted = l->count;
    if (!l->ended) {
        w->then = c->front->wake;
    } else {
        clear_let_go(c);
    }
    write_submit(w, &how, t);
}

void clear_go_on(struct api_call *c)
{
    struct clearing *l = c->clearing;
    struct error err = {0};
    struct txn t;
    if (!replica_leading(c->m->replica)) {
        api_fail(c, ERR_NOT_LEADER, "this master does not lead any more; %u of the objects were deleted", l->count);
        return;
    }
    c->m->stats.deletion_pieces++;
    txn_init(&t, "api");
    int rv = clear_piece(c, &t, &err);
    if (l->ended && l->how.id != NULL) {
        txn_set_id(&t, l->how.id);
    }
    if (rv != 0) {
        api_refuse(c, &err);
    } else if (t.count == 0 && !l->ended) {
        c->front->go_on(c);
    } else {
        submit_piece(c, &t);
    }
    txn_close(&t);
}

void verb_deletecollection(struct api_call *c, const struct api_deletecollection *q)
{
    struct selector *labels = NULL, *fields = NULL;
    struct error err = {0};
    if (api_selectors(c->arena, &q->of, &labels, &fields, &err) != 0) {
        c->front->fail(c, &err);
        return;
    }
    struct txn t;
    api_txn_init(&t, &q->how);
    if (api_repeats(c, &t)) {
        write_submit(write_new(c, API_DELETECOLLECTION), &q->how, &t);
        txn_close(&t);
        return;
    }
    txn_close(&t);
    struct clearing *l = arena_alloc(c->arena, sizeof *l);
    *l = (struct clearing){.view = view_ref(api_tip(c)),
                           .kind = q->of.kind,
                           .labels = labels,
                           .fields = fields,
                           .options = q->options,
                           .how = q->how};
    l->options.if_uid =
        (struct str){arena_strndup(c->arena, q->options.if_uid.p, q->options.if_uid.n), q->options.if_uid.n};
    if (q->how.id != NULL) {
        memcpy(l->id, q->how.id, sizeof l->id);
        l->how.id = l->id;
    }
    view_iter(&l->it, l->view, q->of.kind, q->of.ns);
    c->clearing = l;
    clear_go_on(c);
}
