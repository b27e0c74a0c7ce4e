/* The objects whose content the pods of a node name: what its agent was told of each, and the difference. */
#include <stdio.h>
#include <stdlib.h>

#include "master/nodes/feeds_int.h"
#include "proto/facts/pod_state.h"
#include "proto/facts/storage.h"

static void told_free(struct told *t)
{
    list_remove(&t->changed_link);
    feeds_group_leave(&t->feed->feeds->by_object, t->group, &t->group_link);
    free(t);
}

/* ---- Which objects the pods of a node name ---- */

/* How far references are followed: a pod names a claim, a claim names a volume. */
#define REFS_DEPTH_MAX 3u
struct refs_walk {
    struct feed *f;
    const struct view *v;
    unsigned depth;
    bool tell; /* what it comes to is looked at when the feed sends; a walk over all pods looks at everything */
};

static void add_ref(void *data, const struct kind_reference *r)
{
    struct refs_walk *w = data;
    struct feed *f = w->f;
    if (r->use != REFERENCE_CONTENT || r->name.n == 0 || r->name.n > NAME_KEY_MAX) {
        return;
    }
    char key[600];
    int n = snprintf(key, sizeof key, "%d/%.*s/%.*s", r->kind->id, STR_ARG(r->ns), STR_ARG(r->name));
    struct str k = {key, (size_t)n};
    struct told *t = strmap_get(&f->told, k);
    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        t->feed = f;
        t->kind = r->kind;
        t->group = feeds_group_get(&f->feeds->by_object, k);
        t->name = (struct str){t->group->key + k.n - r->name.n, r->name.n};
        t->ns = (struct str){t->name.p - 1 - r->ns.n, r->ns.n};
        list_init(&t->changed_link);
        list_push_back(&t->group->members, &t->group_link);
        strmap_set(&f->told, (struct str){t->group->key, t->group->key_size}, t);
    }
    bool again = t->mark == f->mark;
    t->mark = f->mark;
    if (w->tell && list_empty(&t->changed_link)) {
        list_push_back(&f->changed, &t->changed_link);
    }
    const struct object *o = again || r->kind->references == NULL ? NULL : view_get(w->v, r->kind, r->ns, r->name);
    if (o != NULL && ++w->depth < REFS_DEPTH_MAX) {
        kind_references(o, add_ref, w);
    }
    w->depth -= o != NULL;
}

/* ---- Sending ---- */

static void write_event(struct buf *events, const char *type, const struct told *t, const struct object *o)
{
    mp_write_map(events, 2);
    mp_write_key_str(events, "type", str_of(type));
    mp_write_cstr(events, "object");
    if (o != NULL) {
        object_write_wire(events, o);
        return;
    }
    mp_write_map(events, 3);
    mp_write_key_str(events, "apiVersion", str_of(t->kind->api_version));
    mp_write_key_str(events, "kind", str_of(t->kind->name));
    mp_write_cstr(events, "metadata");
    mp_write_map(events, 2);
    mp_write_key_str(events, "name", t->name);
    mp_write_key_str(events, "namespace", t->ns);
}

/* What is sent at once: a message must hold it, however much the pods of a node name. */
#define REFS_CHUNK_EVENTS 256u
#define REFS_CHUNK_BYTES  (128u << 10)
struct refs_chunk {
    struct buf events;
    unsigned count;
    struct {
        struct told *told;
        uint64_t revision;
    } items[REFS_CHUNK_EVENTS];
};

/* Sends the chunk; what was sent is remembered. */
static int send_chunk(struct feed *f, const struct view *v, struct refs_chunk *k, bool bookmark)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", (int64_t)view_revision(v));
    mp_write_cstr(&b, "events");
    mp_write_array(&b, k->count + bookmark);
    buf_append(&b, k->events.data, k->events.size);
    if (bookmark) {
        mp_write_map(&b, 1);
        mp_write_key_str(&b, "type", STR("BOOKMARK"));
    }
    int rv = feed_send(f, buf_str(&b));
    for (unsigned i = 0; i < k->count && rv == 0; i++) {
        k->items[i].told->revision = k->items[i].revision;
    }
    k->count = 0;
    buf_reset(&k->events);
    buf_close(&b);
    return rv;
}

/* Into the chunk, if it differs from what the agent was told; a full chunk is sent. */
static int tell(struct feed *f, const struct view *v, struct told *t, struct refs_chunk *k)
{
    const struct object *o = t->mark == f->mark ? view_get(v, t->kind, t->ns, t->name) : NULL;
    uint64_t revision = o == NULL ? 0 : o->revision;
    if (revision == t->revision) {
        return 0;
    }
    write_event(&k->events, o == NULL ? "DELETED" : t->revision == 0 ? "ADDED" : "MODIFIED", t, o);
    k->items[k->count].told = t;
    k->items[k->count++].revision = revision;
    return k->count == REFS_CHUNK_EVENTS || k->events.size >= REFS_CHUNK_BYTES ? send_chunk(f, v, k, false) : 0;
}

/* Sends what differs between what the agent was told and the committed state: of all, or of what is known to have
 * changed. */
static int send_difference(struct feed *f, const struct view *v, struct refs_chunk *k)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    int rv = 0;
    while (f->walk && rv == 0 && (e = strmap_next(&f->told, &cursor)) != NULL) {
        rv = tell(f, v, e->value, k);
    }
    if (!f->walk) {
        for (struct list *it = f->changed.next; rv == 0 && it != &f->changed; it = it->next) {
            rv = tell(f, v, LIST_ENTRY(it, struct told, changed_link), k);
        }
    }
    if (rv == 0 && (k->count > 0 || !f->introduced)) {
        rv = send_chunk(f, v, k, !f->introduced);
    }
    return rv;
}

/* What no pod names any more, and the agent knows: a map must not be changed while it is walked. */
static void forget_unnamed(struct feed *f)
{
    struct told **gone = xcalloc(f->told.count + 1, sizeof *gone);
    size_t cursor = 0, count = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->told, &cursor)) != NULL) {
        struct told *t = e->value;
        if (t->mark != f->mark && t->revision == 0) {
            gone[count++] = t;
        }
    }
    for (size_t i = 0; i < count; i++) {
        strmap_remove(&f->told, (struct str){gone[i]->group->key, gone[i]->group->key_size});
        told_free(gone[i]);
    }
    free(gone);
}

static void walk_pods(struct feed *f, const struct view *v)
{
    struct view_iter it;
    struct refs_walk w = {.f = f, .v = v};
    CLEANUP_BUF struct buf key = BUF_INIT;
    f->mark++;
    view_iter_node_pods(&it, v, str_of(f->node));
    VIEW_FOR(pod, &it)
    {
        kind_references(pod, add_ref, &w);
    }
    index_volume_node_key(&key, str_of(f->node));
    view_iter_index(&it, v, VIEW_BY_VOLUME, buf_str(&key), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(volume, &it)
    {
        const struct kind_reference r = {.kind = volume->kind, .name = volume->name, .use = REFERENCE_CONTENT};
        add_ref(&w, &r);
    }
}

int feed_send_refs(struct feed *f, const struct view *v)
{
    if (f->walk) {
        walk_pods(f, v);
    }
    struct refs_chunk k = {.events = BUF_INIT};
    int rv = send_difference(f, v, &k);
    buf_close(&k.events);
    if (rv != 0) {
        return rv;
    }
    f->introduced = true;
    while (!list_empty(&f->changed)) {
        list_remove(f->changed.next);
    }
    if (f->walk) {
        forget_unnamed(f);
    }
    f->walk = false;
    return 0;
}

/* ---- Noticing ---- */

/* What the node's pods name may be something else now. */
static void note_node(struct node_feeds *feeds, struct str node)
{
    struct group *g = str_empty(node) ? NULL : strmap_get(&feeds->by_node, node);
    if (g != NULL) {
        LIST_FOR(it, &g->members)
        {
            struct feed *f = LIST_ENTRY(it, struct feed, group_link);
            if (f->sort == FEED_REFS) {
                f->walk = true;
                feed_mark_dirty(f);
            }
        }
    }
}

static void notice_content(void *data, const struct kind_reference *r)
{
    *(bool *)data |= r->use == REFERENCE_CONTENT;
}

static bool names_content(const struct object *pod)
{
    bool any = false;
    if (pod != NULL) {
        kind_references(pod, notice_content, &any);
    }
    return any;
}

/* A pod has come to a node: what it names is added to what the agent is told. The node's other pods, of which there may
 * be hundreds, are not looked at. */
static void pod_comes(struct node_feeds *feeds, struct group *g, const struct object *pod)
{
    struct refs_walk w = {.v = store_committed(replica_store(feeds->m->replica)), .tell = true};
    LIST_FOR(it, &g->members)
    {
        w.f = LIST_ENTRY(it, struct feed, group_link);
        if (w.f->sort == FEED_REFS) {
            kind_references(pod, add_ref, &w);
            feed_mark_dirty(w.f);
        }
    }
}

static struct group *group_of_pod(const struct node_feeds *feeds, const struct object *pod)
{
    struct str node = pod == NULL ? STR_NONE : pod_node(pod);
    return str_empty(node) ? NULL : strmap_get(&feeds->by_node, node);
}

/* A pod's status names nothing, and most pods name no content. */
void feeds_note_pod(struct node_feeds *feeds, const struct change *ch)
{
    bool both = ch->old != NULL && ch->new != NULL;
    if (both && object_same_spec(ch->old, ch->new)) {
        return;
    }
    struct group *was = group_of_pod(feeds, ch->old), *is = group_of_pod(feeds, ch->new);
    if (is != NULL && (ch->old == NULL || str_empty(pod_node(ch->old)))) {
        if (names_content(ch->new)) {
            pod_comes(feeds, is, ch->new);
        }
    } else if ((was != NULL || is != NULL) && (names_content(ch->old) || names_content(ch->new))) {
        note_node(feeds, ch->old == NULL ? STR_NONE : pod_node(ch->old));
        note_node(feeds, ch->new == NULL ? STR_NONE : pod_node(ch->new));
    }
}

void feeds_note_object(struct node_feeds *feeds, const struct object *o)
{
    char key[600];
    int n = snprintf(key, sizeof key, "%d/%.*s/%.*s", o->kind->id, STR_ARG(o->ns), STR_ARG(o->name));
    struct group *g = strmap_get(&feeds->by_object, (struct str){key, (size_t)n});
    if (g != NULL) {
        LIST_FOR(it, &g->members)
        {
            struct told *t = LIST_ENTRY(it, struct told, group_link);
            if (list_empty(&t->changed_link)) {
                list_push_back(&t->feed->changed, &t->changed_link);
            }
            t->feed->walk |= o->kind->references != NULL; /* and what it names */
            feed_mark_dirty(t->feed);
        }
    }
}

/* A volume has come to a node, or left it. */
void feeds_note_volume(struct node_feeds *feeds, const struct change *ch)
{
    if (ch->old == NULL || ch->new == NULL) {
        note_node(feeds, object_label(ch->old == NULL ? ch->new : ch->old, STORAGE_LABEL_NODE));
    } else if (!str_eq(object_label(ch->old, STORAGE_LABEL_NODE), object_label(ch->new, STORAGE_LABEL_NODE))) {
        note_node(feeds, object_label(ch->old, STORAGE_LABEL_NODE));
        note_node(feeds, object_label(ch->new, STORAGE_LABEL_NODE));
    }
}

void feed_forget_told(struct feed *f)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&f->told, &cursor)) != NULL) {
        told_free(e->value);
    }
    strmap_close(&f->told);
}
