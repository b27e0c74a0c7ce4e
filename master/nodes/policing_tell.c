/* What the agents that follow are told. */
#include "master/nodes/policing_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct policing_place *policing_follow(struct policing *p, struct str node, void (*behind)(void *data), void *data)
{
    struct policing_place *f = xcalloc(1, sizeof *f);
    f->p = p;
    f->node = policing_get_node(p, node);
    f->behind = behind;
    f->data = data;
    f->walk = true;
    list_init(&f->link);
    list_push_back(&f->node->places, &f->link);
    list_init(&f->due_policies);
    list_init(&f->due_classes);
    strmap_init(&f->policies);
    strmap_init(&f->classes);
    return f;
}

static void free_told_class(struct told_class *t)
{
    list_remove(&t->due);
    list_remove(&t->follower_link);
    free(t);
}

static void free_told_policy(struct told_policy *t)
{
    list_remove(&t->due);
    free(t);
}

void policing_unfollow(struct policing_place *f)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&f->policies, &i)) != NULL;) {
        free_told_policy(e->value);
    }
    for (size_t i = 0; (e = strmap_next(&f->classes, &i)) != NULL;) {
        free_told_class(e->value);
    }
    strmap_close(&f->policies);
    strmap_close(&f->classes);
    list_remove(&f->link);
    policing_drop_node(f->p, f->node);
    buf_close(&f->gone);
    buf_close(&f->dropped);
    buf_close(&f->message);
    free(f);
}

bool policing_is_behind(const struct policing_place *f)
{
    return f->message.size > 0 || f->walk || !list_empty(&f->due_policies) || !list_empty(&f->due_classes);
}

static void want_class(struct policing_place *f, struct class *c)
{
    struct str key = {c->key, c->key_size};
    if (c->mark == f->p->mark) {
        return;
    }
    c->mark = f->p->mark;
    struct told_class *t = strmap_get(&f->classes, key);
    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        t->place = f;
        list_init(&t->due);
        list_init(&t->follower_link);
        strmap_set(&f->classes, key, t);
    }
    t->mark = f->p->mark;
    if (t->class != c) { /* it was another one of this name */
        t->class = c;
        t->began = t->sent = 0;
        list_push_back(&c->followers, &t->follower_link);
        list_push_back(&f->due_classes, &t->due);
    }
}

static void want_policy(struct policing_place *f, struct policy *y)
{
    char text[POLICING_KEY_SIZE];
    struct str key = policing_key(text, y->object);
    if (y->mark == f->p->mark) {
        return;
    }
    y->mark = f->p->mark;
    struct told_policy *t = strmap_get(&f->policies, key);
    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        t->place = f;
        list_init(&t->due);
        strmap_set(&f->policies, key, t);
    }
    t->mark = f->p->mark;
    t->policy = y;
    if (t->version != y->version && list_empty(&t->due)) {
        list_push_back(&f->due_policies, &t->due);
    }
    for (unsigned i = 0; i < y->peers_count; i++) {
        want_class(f, y->peers[i]);
    }
}

static void write_gone(struct policing_place *f, const char *key, size_t size)
{
    const char *slash = memchr(key, '/', size);
    mp_write_map(&f->gone, 2);
    mp_write_key_str(&f->gone, "namespace", (struct str){key, (size_t)(slash - key)});
    mp_write_key_str(&f->gone, "name", (struct str){slash + 1, size - (size_t)(slash - key) - 1});
    f->gone_count++;
}

static void drop_unwanted(struct policing_place *f)
{
    const struct strmap_entry *e;
    struct strmap policies, classes;
    strmap_init(&policies);
    strmap_init(&classes);
    for (size_t i = 0; (e = strmap_next(&f->policies, &i)) != NULL;) {
        struct told_policy *t = e->value;
        if (t->mark == f->p->mark) {
            strmap_set(&policies, (struct str){e->key, e->key_size}, t);
        } else {
            write_gone(f, e->key, e->key_size);
            free_told_policy(t);
        }
    }
    for (size_t i = 0; (e = strmap_next(&f->classes, &i)) != NULL;) {
        struct told_class *t = e->value;
        if (t->mark == f->p->mark) {
            strmap_set(&classes, (struct str){e->key, e->key_size}, t);
        } else {
            mp_write_str(&f->dropped, (struct str){e->key, e->key_size});
            f->dropped_count++;
            free_told_class(t);
        }
    }
    strmap_close(&f->policies);
    strmap_close(&f->classes);
    f->policies = policies;
    f->classes = classes;
}

/* What the node's pods want. */
static void walk(struct policing_place *f)
{
    f->walk = false;
    f->p->mark++;
    LIST_FOR(it, &f->node->pods)
    {
        const struct pod *pod = LIST_ENTRY(it, struct pod, node_link);
        for (unsigned i = 0; i < pod->count; i++) {
            LIST_FOR(y, &pod->in[i]->class->subjects)
            {
                want_policy(f, LIST_ENTRY(y, struct policy, subject_link));
            }
        }
    }
    drop_unwanted(f);
}

static void write_member(struct buf *out, const struct member *m)
{
    mp_write_array(out, m->ports.size > 0 ? 2 : 1);
    mp_write_int(out, m->ip);
    buf_append(out, m->ports.data, m->ports.size);
}

/* Some of what has changed in a class. False: there is more. */
static bool write_class(struct told_class *t, struct buf *out, size_t room)
{
    struct ages *a = &t->class->members;
    CLEANUP_BUF struct buf members = BUF_INIT;
    CLEANUP_BUF struct buf gone = BUF_INIT;
    uint32_t members_count = 0, gone_count = 0;
    bool whole = t->sent == 0 || a->forgotten > MAX(t->sent, t->began);
    uint64_t since = whole ? 0 : t->sent;
    struct list *it = ages_behind(a, since);
    if (whole) {
        t->began = a->version;
    }
    for (; it != &a->by_age && members.size + gone.size < room; it = it->next) {
        const struct aged *e = LIST_ENTRY(it, struct aged, link);
        const struct member *m = CONTAINER_OF(e, struct member, aged);
        t->sent = e->version;
        if (!e->gone) {
            write_member(&members, m);
            members_count++;
        } else if (!whole) {
            mp_write_int(&gone, m->ip);
            gone_count++;
        }
    }
    bool complete = it == &a->by_age, is_short = t->class->left_out > 0;
    t->sent = complete ? a->version : t->sent;
    mp_write_map(out, is_short ? 5 : 4);
    if (is_short) {
        mp_write_key_bool(out, "short", true);
    }
    mp_write_key_str(out, "key", (struct str){t->class->key, t->class->key_size});
    mp_write_key_bool(out, "whole", whole);
    mp_write_cstr(out, "members");
    mp_write_array(out, members_count);
    buf_append(out, members.data, members.size);
    mp_write_cstr(out, "gone");
    mp_write_array(out, gone_count);
    buf_append(out, gone.data, gone.size);
    return complete;
}

static uint32_t write_policies(struct policing_place *f, struct buf *out)
{
    uint32_t count = 0;
    for (; !list_empty(&f->due_policies) && out->size < POLICING_MESSAGE_BYTES; count++) {
        struct told_policy *t = LIST_ENTRY(f->due_policies.next, struct told_policy, due);
        list_remove(&t->due);
        object_write_wire(out, t->policy->object);
        t->version = t->policy->version;
    }
    return count;
}

static uint32_t write_classes(struct policing_place *f, struct buf *out, size_t written)
{
    uint32_t count = 0;
    while (!list_empty(&f->due_classes) && written + out->size < POLICING_MESSAGE_BYTES) {
        struct told_class *t = LIST_ENTRY(f->due_classes.next, struct told_class, due);
        bool complete = write_class(t, out, POLICING_MESSAGE_BYTES - written - out->size);
        count++;
        if (complete) {
            list_remove(&t->due);
        }
    }
    return count;
}

static void write_list(struct buf *b, const char *key, uint32_t count, const struct buf *items)
{
    mp_write_cstr(b, key);
    mp_write_array(b, count);
    buf_append(b, items->data, items->size);
}

/* A policy that goes is let go of by a walk before anything else is written. */
struct str policing_message(struct policing_place *f, uint64_t revision)
{
    CLEANUP_BUF struct buf policies = BUF_INIT;
    CLEANUP_BUF struct buf classes = BUF_INIT;
    struct buf *b = &f->message;
    assert(policing_is_behind(f));
    if (b->size > 0) {
        return buf_str(b);
    }
    if (f->walk) {
        walk(f);
    }
    uint32_t policies_count = write_policies(f, &policies);
    uint32_t classes_count = write_classes(f, &classes, policies.size);
    mp_write_map(b, 7);
    mp_write_key_int(b, "revision", (int64_t)revision);
    mp_write_key_bool(b, "whole", !f->introduced);
    write_list(b, "gone", f->gone_count, &f->gone);
    write_list(b, "policies", policies_count, &policies);
    write_list(b, "dropped", f->dropped_count, &f->dropped);
    write_list(b, "classes", classes_count, &classes);
    mp_write_key_bool(b, "complete", list_empty(&f->due_policies) && list_empty(&f->due_classes));
    f->introduced = true;
    f->gone_count = f->dropped_count = 0;
    buf_reset(&f->gone);
    buf_reset(&f->dropped);
    return buf_str(b);
}

void policing_sent(struct policing_place *f)
{
    buf_reset(&f->message);
}
