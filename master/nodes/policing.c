#include "master/nodes/policing_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/facts/netpol.h"
#include "proto/facts/pod_state.h"
#include "proto/kinds/kinds.h"

struct str policing_key(char out[POLICING_KEY_SIZE], const struct object *o)
{
    int n = snprintf(out, POLICING_KEY_SIZE, "%.*s/%.*s", STR_ARG(o->ns), STR_ARG(o->name));
    return (struct str){out, (size_t)MIN(n, (int)POLICING_KEY_SIZE - 1)};
}

/* ---- Who is told ---- */

static void set_behind(struct policing_place *f)
{
    f->behind(f->data);
}

static void walk_node(struct node *n)
{
    for (struct list *it = n == NULL ? NULL : n->places.next; it != NULL && it != &n->places; it = it->next) {
        struct policing_place *f = LIST_ENTRY(it, struct policing_place, link);
        f->walk = true;
        set_behind(f);
    }
}

static void class_changed(struct class *c)
{
    LIST_FOR(it, &c->followers)
    {
        struct told_class *t = LIST_ENTRY(it, struct told_class, follower_link);
        if (list_empty(&t->due)) {
            list_push_back(&t->place->due_classes, &t->due);
        }
        set_behind(t->place);
    }
}

struct node *policing_get_node(struct policing *p, struct str name)
{
    struct node *n = strmap_get(&p->nodes, name);
    if (n == NULL) {
        n = xcalloc(1, sizeof *n);
        n->name = xstrndup(name.p, name.n);
        list_init(&n->pods);
        list_init(&n->places);
        strmap_set(&p->nodes, name, n);
    }
    return n;
}

void policing_drop_node(struct policing *p, struct node *n)
{
    if (n != NULL && list_empty(&n->pods) && list_empty(&n->places)) {
        strmap_remove(&p->nodes, str_of(n->name));
        free(n->name);
        free(n);
    }
}

/* ---- Members of classes ---- */

static void free_member(struct aged *e)
{
    struct member *m = CONTAINER_OF(e, struct member, aged);
    buf_close(&m->ports);
    free(m);
}

static void count_port(struct str name, uint8_t protocol, uint16_t port, void *data)
{
    (void)name;
    (void)protocol;
    (void)port;
    ++*(uint32_t *)data;
}

static void write_port(struct str name, uint8_t protocol, uint16_t port, void *data)
{
    mp_write_array(data, 3);
    mp_write_str(data, name);
    mp_write_int(data, protocol);
    mp_write_int(data, port);
}

static void write_ports(struct buf *out, const struct object *pod)
{
    uint32_t count = 0;
    netpol_each_port(pod, count_port, &count);
    buf_reset(out);
    if (count > 0) {
        mp_write_array(out, count);
        netpol_each_port(pod, write_port, out);
    }
}

/* The pod has the address. `again`: it is counted already. */
static void add_address(struct policing *p, struct class *c, const struct pod *pod, bool again)
{
    struct str key = {(const char *)&pod->ip, sizeof pod->ip};
    struct aged *e = ages_get(&c->members, key);
    if (pod->ip == 0) {
        return;
    }
    if (e == NULL) {
        struct member *m = xcalloc(1, sizeof *m);
        e = &m->aged;
        e->gone = true;
        c->members.gone++; /* as if it had been here before: ages_touch brings it back */
        m->ip = pod->ip;
        ages_add(&c->members, e, key);
    }
    struct member *m = CONTAINER_OF(e, struct member, aged);
    write_ports(&p->scratch, pod->object);
    m->pods += !again;
    if (e->gone || !str_eq(buf_str(&m->ports), buf_str(&p->scratch))) {
        buf_reset(&m->ports);
        buf_append_str(&m->ports, buf_str(&p->scratch));
        ages_touch(&c->members, e);
        class_changed(c);
    }
}

static void remove_address(struct class *c, uint32_t ip)
{
    struct aged *e = ip == 0 ? NULL : ages_get(&c->members, (struct str){(const char *)&ip, sizeof ip});
    struct member *m = e == NULL ? NULL : CONTAINER_OF(e, struct member, aged);
    if (m != NULL && --m->pods == 0) {
        ages_remove(&c->members, e);
        class_changed(c);
    }
}

static void join(struct policing *p, struct pod *pod, struct class *c)
{
    struct membership *m = xcalloc(1, sizeof *m);
    m->class = c;
    m->pod = pod;
    m->at = pod->count;
    list_init(&m->link);
    list_push_back(&c->memberships, &m->link);
    if (pod->count == pod->cap) {
        pod->cap = MAX(4u, pod->cap * 2);
        pod->in = xrealloc(pod->in, pod->cap * sizeof *pod->in);
    }
    pod->in[pod->count++] = m;
    p->members++;
    add_address(p, c, pod, false);
}

static void leave(struct policing *p, struct membership *m)
{
    struct pod *pod = m->pod;
    p->members--;
    pod->in[m->at] = pod->in[--pod->count];
    pod->in[m->at]->at = m->at;
    list_remove(&m->link);
    remove_address(m->class, pod->ip);
    free(m);
}

static bool has_pod(struct policing *p, const struct class *c, const struct pod *pod)
{
    p->stats.matches++;
    return selector_matches_object(c->pods, pod->object);
}

static bool has_space(struct policing *p, const struct class *c, const struct space *s)
{
    p->stats.matches++;
    return s->object != NULL && selector_matches_object(c->spaces, s->object);
}

static void set_left_out(struct policing *p, struct class *c, size_t count)
{
    bool changed = (count > 0) != (c->left_out > 0);
    c->left_out = count;
    if (changed) { /* who follows it is told that it is short, or not any more */
        list_remove(&c->lacking);
        if (count > 0) {
            list_push_back(&p->lacking, &c->lacking);
        }
        c->members.version++;
        class_changed(c);
    }
}

/* Subjects are never left out: they would be less isolated. */
static bool has_room(const struct policing *p, const struct class *c)
{
    return c->subject_refs > 0 || p->members < p->room;
}

static bool match(struct policing *p, struct pod *pod, struct class *c, bool belongs)
{
    struct membership *m = c->of_pod;
    if (belongs && m == NULL && !has_room(p, c)) {
        set_left_out(p, c, c->left_out + 1);
        return false;
    }
    if (belongs && m == NULL) {
        join(p, pod, c);
    } else if (!belongs && m != NULL) {
        leave(p, m);
    }
    return belongs != (m != NULL);
}

/* After its labels, or those of its namespace, have changed. True: it is in others than before. There may be thousands
 * of classes, and it in each: none is looked for. */
static bool match_all(struct policing *p, struct pod *pod)
{
    bool changed = false;
    for (unsigned i = 0; i < pod->count; i++) {
        pod->in[i]->class->of_pod = pod->in[i];
    }
    LIST_FOR(it, &pod->space->classes)
    {
        struct class *c = LIST_ENTRY(it, struct class, link);
        changed |= match(p, pod, c, has_pod(p, c, pod));
        c->of_pod = NULL;
    }
    LIST_FOR(it, &p->wide)
    {
        struct class *c = LIST_ENTRY(it, struct class, link);
        changed |= match(p, pod, c, has_space(p, c, pod->space) && has_pod(p, c, pod));
        c->of_pod = NULL;
    }
    return changed;
}

/* ---- Namespaces and pods ---- */

static struct space *get_space(struct policing *p, struct str name)
{
    struct space *s = strmap_get(&p->spaces, name);
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        s->name = xstrndup(name.p, name.n);
        list_init(&s->pods);
        list_init(&s->classes);
        strmap_set(&p->spaces, name, s);
    }
    return s;
}

static void drop_space_if_unused(struct policing *p, struct space *s)
{
    if (s->object == NULL && list_empty(&s->pods) && list_empty(&s->classes)) {
        strmap_remove(&p->spaces, str_of(s->name));
        free(s->name);
        free(s);
    }
}

static bool same_labels(const struct object *a, const struct object *b)
{
    struct mp x = mp_path(object_mp(a), "metadata.labels"), y = mp_path(object_mp(b), "metadata.labels");
    size_t n = (size_t)(x.end - x.p);
    return n == (size_t)(y.end - y.p) && (n == 0 || memcmp(x.p, y.p, n) == 0);
}

static void set_space(struct policing *p, struct str name, const struct object *o)
{
    struct space *s = get_space(p, name);
    struct object *former = s->object;
    bool changed = former == NULL || o == NULL || !same_labels(former, o);
    s->object = o == NULL ? NULL : object_ref(o);
    object_unref(former);
    if (changed && !list_empty(&p->wide)) {
        LIST_FOR(it, &s->pods)
        {
            (void)match_all(p, LIST_ENTRY(it, struct pod, link)); /* none of these is a subject: those have one space */
        }
    }
    drop_space_if_unused(p, s);
}

static void remove_pod(struct policing *p, struct str key)
{
    struct pod *pod = strmap_remove(&p->pods, key);
    if (pod == NULL) {
        return;
    }
    while (pod->count > 0) {
        leave(p, pod->in[pod->count - 1]);
    }
    list_remove(&pod->link);
    list_remove(&pod->node_link);
    walk_node(pod->node);
    policing_drop_node(p, pod->node);
    drop_space_if_unused(p, pod->space);
    object_unref(pod->object);
    free(pod->in);
    free(pod);
}

static void set_address(struct policing *p, struct pod *pod, uint32_t ip, bool ports_changed)
{
    uint32_t former = pod->ip;
    if (ip == former && !ports_changed) {
        return;
    }
    for (unsigned i = 0; i < pod->count && ip != former; i++) {
        remove_address(pod->in[i]->class, former);
    }
    pod->ip = ip;
    for (unsigned i = 0; i < pod->count; i++) {
        add_address(p, pod->in[i]->class, pod, ip == former);
    }
}

static void set_node(struct policing *p, struct pod *pod, struct str name)
{
    struct node *former = pod->node;
    if (former != NULL && str_is(name, former->name)) {
        return;
    }
    list_remove(&pod->node_link);
    pod->node = name.n == 0 ? NULL : policing_get_node(p, name);
    if (pod->node != NULL) {
        list_push_back(&pod->node->pods, &pod->node_link);
    }
    walk_node(former);
    policing_drop_node(p, former);
    walk_node(pod->node);
}

static void put_pod(struct policing *p, const struct object *o)
{
    char text[POLICING_KEY_SIZE];
    struct str key = policing_key(text, o);
    struct pod *pod = strmap_get(&p->pods, key);
    if (pod != NULL && !str_eq(pod->object->uid, o->uid)) {
        remove_pod(p, key);
        pod = NULL;
    }
    if (!netpol_is_subject(o)) {
        remove_pod(p, key);
        return;
    }
    bool is_new = pod == NULL, labels = is_new || !same_labels(pod->object, o),
         spec = is_new || !object_same_spec(pod->object, o);
    if (is_new) {
        pod = xcalloc(1, sizeof *pod);
        pod->space = get_space(p, o->ns);
        list_init(&pod->link);
        list_init(&pod->node_link);
        list_push_back(&pod->space->pods, &pod->link);
        strmap_set(&p->pods, key, pod);
    }
    struct object *former = pod->object;
    pod->object = object_ref(o);
    object_unref(former);
    pod->seen = true;
    set_node(p, pod, pod_node(o));
    set_address(p, pod, netpol_address(o), spec && !is_new);
    if (labels && match_all(p, pod)) {
        walk_node(pod->node);
    }
}

/* ---- Classes ---- */

/* Pods of a namespace that are not in it yet. */
static void fill_from(struct policing *p, struct class *c, const struct space *s)
{
    LIST_FOR(it, &s->pods)
    {
        struct pod *pod = LIST_ENTRY(it, struct pod, link);
        if (pod->filled != c && match(p, pod, c, has_pod(p, c, pod)) && c->subject_refs > 0) {
            walk_node(pod->node);
        }
        pod->filled = NULL;
    }
}

/* All that belong to it, and are not in it yet. */
static void fill(struct policing *p, struct class *c)
{
    struct netpol_class parts;
    const struct strmap_entry *e;
    LIST_FOR(it, &c->memberships)
    {
        LIST_ENTRY(it, struct membership, link)->pod->filled = c;
    }
    set_left_out(p, c, 0);
    if (c->spaces == NULL) {
        (void)netpol_class_read((struct str){c->key, c->key_size}, &parts);
        fill_from(p, c, get_space(p, parts.ns));
        return;
    }
    for (size_t i = 0; (e = strmap_next(&p->spaces, &i)) != NULL;) {
        struct space *s = e->value;
        if (!list_empty(&s->pods) && has_space(p, c, s)) {
            fill_from(p, c, s);
        }
    }
    LIST_FOR(it, &c->memberships)
    {
        LIST_ENTRY(it, struct membership, link)->pod->filled = NULL;
    }
}

/* One class, when a good part of all room is free. */
static void fill_a_lacking_one(struct policing *p)
{
    if (!list_empty(&p->lacking) && p->members < p->room - p->room / 16) {
        fill(p, LIST_ENTRY(p->lacking.next, struct class, lacking));
    }
}

static struct class *new_class(struct policing *p, struct str key, bool subject)
{
    struct class *c = xcalloc(1, sizeof *c);
    struct netpol_class parts;
    c->key = xstrndup(key.p, key.n);
    c->key_size = key.n;
    c->subject_refs = subject;
    arena_init(&c->arena);
    list_init(&c->link);
    list_init(&c->memberships);
    list_init(&c->subjects);
    list_init(&c->followers);
    list_init(&c->lacking);
    ages_init(&c->members, POLICING_GONE_MAX, free_member);
    c->members.version = 1; /* also of one without members something can be told */
    bool ok = netpol_class_read((struct str){c->key, c->key_size}, &parts);
    ok = ok && selector_from_mp(&c->arena, parts.pods, &c->pods, NULL) == 0;
    ok = ok && (parts.ns.n > 0 || selector_from_mp(&c->arena, parts.spaces, &c->spaces, NULL) == 0);
    strmap_set(&p->classes, key, c);
    if (!ok) {
        return c; /* of a selector that admission would not let in: nobody is in it */
    }
    list_push_back(c->spaces == NULL ? &get_space(p, parts.ns)->classes : &p->wide, &c->link);
    fill(p, c);
    return c;
}

/* One that was of peers alone, and becomes a policy's subject, may lack some. */
static struct class *get_class(struct policing *p, const struct netpol_class *parts, bool subject)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    netpol_class_key(parts, &key);
    struct class *c = strmap_get(&p->classes, buf_str(&key));
    if (c == NULL) {
        c = new_class(p, buf_str(&key), subject);
    } else if (subject && ++c->subject_refs == 1 && c->left_out > 0) {
        fill(p, c);
    }
    c->refs++;
    return c;
}

static void put_class(struct policing *p, struct class *c, bool subject)
{
    struct netpol_class parts;
    c->subject_refs -= subject;
    if (--c->refs > 0) {
        return;
    }
    list_remove(&c->lacking);
    while (!list_empty(&c->memberships)) {
        leave(p, LIST_ENTRY(c->memberships.next, struct membership, link));
    }
    while (!list_empty(&c->followers)) {
        struct told_class *t = LIST_ENTRY(c->followers.next, struct told_class, follower_link);
        list_remove(&t->follower_link);
        list_remove(&t->due);
        t->class = NULL;
    }
    list_remove(&c->link);
    struct space *s = NULL;
    if (netpol_class_read((struct str){c->key, c->key_size}, &parts) && parts.ns.n > 0) {
        s = strmap_get(&p->spaces, parts.ns);
    }
    if (s != NULL) {
        drop_space_if_unused(p, s);
    }
    strmap_remove(&p->classes, (struct str){c->key, c->key_size});
    ages_close(&c->members);
    arena_close(&c->arena);
    free(c->key);
    free(c);
}

/* ---- Policies ---- */

struct collecting {
    struct policing *p;
    struct policy *policy;
};

static void add_peer(const struct netpol_class *parts, void *data)
{
    struct collecting *k = data;
    struct policy *y = k->policy;
    if (y->peers_count == y->peers_cap) {
        y->peers_cap = MAX(4u, y->peers_cap * 2);
        y->peers = xrealloc(y->peers, y->peers_cap * sizeof *y->peers);
    }
    y->peers[y->peers_count++] = get_class(k->p, parts, false);
}

/* The nodes whose pods it selects look again at what they enforce. */
static void walk_subjects(const struct policy *y)
{
    LIST_FOR(it, &y->subject->memberships)
    {
        struct node *n = LIST_ENTRY(it, struct membership, link)->pod->node;
        walk_node(n);
    }
}

static void free_policy(struct policing *p, struct policy *y)
{
    walk_subjects(y);
    list_remove(&y->subject_link);
    put_class(p, y->subject, true);
    for (unsigned i = 0; i < y->peers_count; i++) {
        put_class(p, y->peers[i], false);
    }
    object_unref(y->object);
    free(y->peers);
    free(y);
}

static void track(struct policing *p);
static void forget_all(struct policing *p);

static void remove_policy(struct policing *p, struct str key)
{
    struct policy *y = strmap_remove(&p->policies, key);
    if (y != NULL) {
        free_policy(p, y);
    }
    if (p->tracking && p->policies.count == 0) {
        forget_all(p);
    }
}

static void put_policy(struct policing *p, const struct object *o)
{
    char text[POLICING_KEY_SIZE];
    struct str key = policing_key(text, o);
    struct policy *former = strmap_get(&p->policies, key);
    struct netpol_class subject = netpol_subject(o);
    if (former != NULL && former->object->revision == o->revision && str_eq(former->object->uid, o->uid)) {
        former->seen = true;
        return;
    }
    if (!p->tracking) {
        track(p);
    }
    struct policy *y = xcalloc(1, sizeof *y);
    y->object = object_ref(o);
    y->version = ++p->version;
    y->seen = true;
    list_init(&y->subject_link);
    y->subject = get_class(p, &subject, true);
    list_push_back(&y->subject->subjects, &y->subject_link);
    netpol_each_class(o, add_peer, &(struct collecting){p, y});
    strmap_set(&p->policies, key, y);
    walk_subjects(y);
    if (former != NULL) { /* behind its successor: what both name stays */
        free_policy(p, former);
    }
}

/* ---- The state ---- */

static void each_of(struct policing *p, enum kind_id kind, void (*put)(struct policing *p, const struct object *o))
{
    struct view_iter it;
    view_iter(&it, p->view(p->data), kind_by_id(kind), STR_NONE);
    VIEW_FOR(o, &it)
    {
        put(p, o);
    }
}

static void put_space(struct policing *p, const struct object *o)
{
    set_space(p, o->name, o);
}

/* The first policy has come. */
static void track(struct policing *p)
{
    p->tracking = true;
    each_of(p, KIND_NAMESPACE, put_space);
    each_of(p, KIND_POD, put_pod);
}

static struct str *list_keys(const struct strmap *m)
{
    struct str *list = xcalloc(m->count + 1, sizeof *list);
    const struct strmap_entry *e;
    size_t n = 0;
    for (size_t i = 0; (e = strmap_next(m, &i)) != NULL;) {
        list[n++] = (struct str){xstrndup(e->key, e->key_size), e->key_size};
    }
    return list;
}

/* All of them, or those that a sync has not seen. */
static void remove_each(struct policing *p, const struct strmap *m, bool (*goes)(const void *value),
                        void (*remove)(struct policing *p, struct str key))
{
    struct str *keys = list_keys(m);
    for (size_t i = 0; keys[i].p != NULL; i++) {
        const void *value = strmap_get(m, keys[i]);
        if (value != NULL && (goes == NULL || goes(value))) {
            remove(p, keys[i]);
        }
        free((char *)keys[i].p);
    }
    free(keys);
}

static void remove_space(struct policing *p, struct str key)
{
    set_space(p, key, NULL);
}

/* The last policy has gone. */
static void forget_all(struct policing *p)
{
    p->tracking = false;
    remove_each(p, &p->pods, NULL, remove_pod);
    remove_each(p, &p->spaces, NULL, remove_space);
}

bool policing_is_of(const struct object *o)
{
    return o->kind->id == KIND_NETWORKPOLICY || o->kind->id == KIND_POD || o->kind->id == KIND_NAMESPACE;
}

/* While no pods are known: a node hears of each that is bound to it. */
static void note_pod(struct policing *p, const struct object *old, const struct object *new)
{
    struct str node = new == NULL ? STR_NONE : pod_node(new);
    if (node.n > 0 && (old == NULL || !str_eq(pod_node(old), node))) {
        walk_node(strmap_get(&p->nodes, node));
    }
}

void policing_change(struct policing *p, const struct object *old, const struct object *new)
{
    char text[POLICING_KEY_SIZE];
    const struct object *any = new != NULL ? new : old;
    if (any->kind->id == KIND_NETWORKPOLICY) {
        if (new != NULL) {
            put_policy(p, new);
        } else {
            remove_policy(p, policing_key(text, old));
        }
    } else if (any->kind->id == KIND_POD && !p->tracking) {
        note_pod(p, old, new);
    } else if (any->kind->id == KIND_POD && new != NULL) {
        put_pod(p, new);
    } else if (any->kind->id == KIND_POD) {
        remove_pod(p, policing_key(text, old));
    } else if (p->tracking) {
        set_space(p, any->name, new);
    }
    fill_a_lacking_one(p);
}

static bool unseen_policy(const void *value)
{
    return !((const struct policy *)value)->seen;
}

static bool unseen_pod(const void *value)
{
    return !((const struct pod *)value)->seen;
}

void policing_sync(struct policing *p)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&p->policies, &i)) != NULL;) {
        ((struct policy *)e->value)->seen = false;
    }
    for (size_t i = 0; (e = strmap_next(&p->pods, &i)) != NULL;) {
        ((struct pod *)e->value)->seen = false;
    }
    if (p->tracking) {
        remove_each(p, &p->spaces, NULL, remove_space);
        each_of(p, KIND_NAMESPACE, put_space);
        each_of(p, KIND_POD, put_pod);
        remove_each(p, &p->pods, unseen_pod, remove_pod);
    }
    each_of(p, KIND_NETWORKPOLICY, put_policy);
    remove_each(p, &p->policies, unseen_policy, remove_policy);
    for (size_t i = 0; (e = strmap_next(&p->nodes, &i)) != NULL;) {
        walk_node(e->value);
    }
}

struct policing *policing_new(const struct view *(*view)(void *data), void *data)
{
    struct policing *p = xcalloc(1, sizeof *p);
    p->view = view;
    p->data = data;
    strmap_init(&p->policies);
    strmap_init(&p->pods);
    strmap_init(&p->spaces);
    strmap_init(&p->classes);
    strmap_init(&p->nodes);
    list_init(&p->wide);
    list_init(&p->lacking);
    p->room = POLICING_MEMBERS_MAX;
    return p;
}

void policing_set_room(struct policing *p, size_t members)
{
    p->room = members;
}

void policing_free(struct policing *p)
{
    if (p == NULL) {
        return;
    }
    remove_each(p, &p->policies, NULL, remove_policy);
    assert(p->pods.count == 0 && p->classes.count == 0 && p->spaces.count == 0 && p->nodes.count == 0);
    strmap_close(&p->policies);
    strmap_close(&p->pods);
    strmap_close(&p->spaces);
    strmap_close(&p->classes);
    strmap_close(&p->nodes);
    buf_close(&p->scratch);
    free(p);
}

void policing_get_stats(const struct policing *p, struct policing_stats *out)
{
    const struct strmap_entry *e;
    *out = p->stats;
    out->policies = p->policies.count;
    out->classes = p->classes.count;
    out->pods = p->pods.count;
    out->members = p->members;
    LIST_FOR(it, &p->lacking)
    {
        out->left_out += LIST_ENTRY(it, struct class, lacking)->left_out;
    }
    for (size_t i = 0; (e = strmap_next(&p->nodes, &i)) != NULL;) {
        LIST_FOR(it, &((struct node *)e->value)->places)
        {
            out->places++;
        }
    }
}
