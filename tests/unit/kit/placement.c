#include "tests/unit/kit/placement.h"

#include <stddef.h>
#include <stdint.h>

static bool requirement_holds(const struct requirement *r, const unsigned *labels)
{
    unsigned v = labels[r->key];
    bool among = v != 0 && (r->values >> v & 1);
    switch (r->op) {
    case IN:
        return among;
    case NOT_IN:
        return !among;
    case EXISTS:
        return v != 0;
    case NOT_EXISTS:
        return v == 0;
    case GREATER: /* values: the number itself */
        return v != 0 && v > r->values;
    case LESS:
        return v != 0 && v < r->values;
    }
    return false;
}

static bool selects(const struct selector_model *s, const unsigned *labels)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (!requirement_holds(&s->r[i], labels)) {
            return false;
        }
    }
    return s->present;
}

/* Labels of the owner of a rule that others must share, or must not. */
static bool keys_agree(unsigned match, unsigned mismatch, const unsigned *owner, const unsigned *other)
{
    for (unsigned k = 0; k < POD_LABELS; k++) {
        if ((match >> k & 1) && owner[k] != 0 && other[k] != owner[k]) {
            return false;
        }
        if ((mismatch >> k & 1) && owner[k] != 0 && other[k] == owner[k]) {
            return false;
        }
    }
    return true;
}

static bool term_means(const struct model *m, const struct pod *owner, const struct term *t, const struct pod *other)
{
    bool own = t->namespaces == 0 && !t->of_namespaces.present;
    bool ns = own ? owner->t->ns == other->t->ns
                  : (t->namespaces >> other->t->ns & 1) || selects(&t->of_namespaces, m->ns[other->t->ns]);
    return ns && selects(&t->pods, other->labels) &&
           keys_agree(t->match_keys, t->mismatch_keys, owner->labels, other->labels);
}

static bool counts(const struct model *m, const struct pod *p)
{
    return p->exists && !p->finished && p->node >= 0 && m->nodes[p->node].exists;
}

static bool same_place(const struct model *m, unsigned topology, int a, int b)
{
    unsigned v = m->nodes[a].labels[topology];
    return v != 0 && v == m->nodes[b].labels[topology];
}

static bool affinity_lets_in(const struct model *m, const struct pod *p, const struct node *n, unsigned name)
{
    const struct template *t = p->t;
    if (t->selector_disk != 0 && n->labels[L_DISK] != t->selector_disk) {
        return false;
    }
    bool any = t->node_terms_count == 0;
    for (unsigned i = 0; i < t->node_terms_count; i++) {
        bool field = i == 0 && t->field_not_node != 0;
        bool empty = t->node_terms[i].count == 0 && !field;
        any = any || (!empty && selects(&t->node_terms[i], n->labels) && !(field && t->field_not_node == name + 1));
    }
    (void)m;
    return any;
}

static bool taints_let_in(const struct pod *p, const struct node *n)
{
    unsigned all = p->t->tolerates >> 2 & 1;
    if (n->cordoned && !all) {
        return false;
    }
    return all || n->taint == 0 || n->taint == 3 || (p->t->tolerates >> (n->taint - 1) & 1);
}

static bool room_lets_in(const struct model *m, const struct pod *p, int at)
{
    unsigned cpu = 0, gpu = 0, pods = 0;
    for (unsigned i = 0; i < PODS; i++) {
        const struct pod *o = &m->pods[i];
        if (o != p && o->exists && !o->finished && o->node == at) {
            cpu += o->t->cpu;
            gpu += o->t->gpu;
            pods++;
            if (p->t->port != 0 && o->t->port == p->t->port) {
                return false;
            }
        }
    }
    const struct node *n = &m->nodes[at];
    return pods + 1 <= n->pods && (p->t->cpu == 0 || cpu + p->t->cpu <= n->cpu) &&
           (p->t->gpu == 0 || gpu + p->t->gpu <= n->gpu);
}

/* Does the node take part in the count of this constraint? */
static bool in_scope(const struct model *m, const struct pod *p, const struct spread *c, unsigned at)
{
    const struct node *n = &m->nodes[at];
    if (!n->exists) {
        return false;
    }
    for (unsigned i = 0; i < p->t->spread_count; i++) {
        if (p->t->spread[i].hard && n->labels[p->t->spread[i].topology] == 0) {
            return false;
        }
    }
    return (c->ignore_affinity || affinity_lets_in(m, p, n, at)) && (!c->honor_taints || taints_let_in(p, n));
}

static bool spread_means(const struct pod *p, const struct spread *c, const struct pod *o)
{
    return o->t->ns == p->t->ns && selects(&c->pods, o->labels) && keys_agree(c->match_keys, 0, p->labels, o->labels);
}

static unsigned pods_in_domain(const struct model *m, const struct pod *p, const struct spread *c, unsigned value)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < PODS; i++) {
        const struct pod *o = &m->pods[i];
        sum += counts(m, o) && !o->deleting && m->nodes[o->node].labels[c->topology] == value &&
               in_scope(m, p, c, (unsigned)o->node) && spread_means(p, c, o);
    }
    return sum;
}

static bool spread_lets_in(const struct model *m, const struct pod *p, int at)
{
    for (unsigned i = 0; i < p->t->spread_count; i++) {
        const struct spread *c = &p->t->spread[i];
        unsigned here = m->nodes[at].labels[c->topology], seen = 0, domains = 0, least = UINT32_MAX;
        if (!c->hard) {
            continue;
        }
        if (here == 0) {
            return false;
        }
        for (unsigned n = 0; n < NODES; n++) {
            unsigned v = m->nodes[n].labels[c->topology];
            if (in_scope(m, p, c, n) && !(seen >> v & 1)) {
                seen |= 1u << v;
                domains++;
                unsigned pods = pods_in_domain(m, p, c, v);
                least = pods < least ? pods : least;
            }
        }
        if (domains < (c->min_domains == 0 ? 1 : c->min_domains)) {
            least = 0;
        }
        int64_t skew = (int64_t)pods_in_domain(m, p, c, here) + spread_means(p, c, p) - least;
        if (skew > (int64_t)c->max_skew) {
            return false;
        }
    }
    return true;
}

static bool means_by_all(const struct model *m, const struct pod *p, const struct pod *o)
{
    for (unsigned i = 0; i < p->t->near_count; i++) {
        if (!term_means(m, p, &p->t->near[i], o)) {
            return false;
        }
    }
    return true;
}

static bool near_lets_in(const struct model *m, const struct pod *p, int at)
{
    bool all_found = true, any_anywhere = false;
    for (unsigned i = 0; i < p->t->near_count; i++) {
        unsigned topology = p->t->near[i].topology;
        bool found = false;
        if (m->nodes[at].labels[topology] == 0) {
            return false;
        }
        for (unsigned j = 0; j < PODS; j++) {
            const struct pod *o = &m->pods[j];
            if (o == p || !counts(m, o) || !means_by_all(m, p, o)) {
                continue;
            }
            any_anywhere = any_anywhere || m->nodes[o->node].labels[topology] != 0;
            found = found || same_place(m, topology, o->node, at);
        }
        all_found = all_found && found;
    }
    return all_found || (!any_anywhere && means_by_all(m, p, p));
}

static bool away_lets_in(const struct model *m, const struct pod *p, int at)
{
    for (unsigned j = 0; j < PODS; j++) {
        const struct pod *o = &m->pods[j];
        if (o == p || !counts(m, o)) {
            continue;
        }
        for (unsigned i = 0; i < p->t->away_count; i++) {
            const struct term *t = &p->t->away[i];
            if (term_means(m, p, t, o) && same_place(m, t->topology, o->node, at)) {
                return false;
            }
        }
        for (unsigned i = 0; i < o->t->away_count; i++) {
            const struct term *t = &o->t->away[i];
            if (term_means(m, o, t, p) && same_place(m, t->topology, o->node, at)) {
                return false;
            }
        }
    }
    return true;
}

bool placement_lets_in(const struct model *m, const struct pod *p, int at)
{
    const struct node *n = &m->nodes[at];
    return n->exists && taints_let_in(p, n) && affinity_lets_in(m, p, n, (unsigned)at) && room_lets_in(m, p, at) &&
           spread_lets_in(m, p, at) && near_lets_in(m, p, at) && away_lets_in(m, p, at);
}

static bool waits_for(const struct pod *o, int at)
{
    return o->exists && !o->finished && !o->deleting && o->node < 0 && o->nominated == (unsigned)at + 1;
}

bool placement_keeps_room(const struct model *m, const struct pod *p, int at)
{
    struct model with = *m;
    for (unsigned i = 0; i < PODS; i++) {
        struct pod *o = &with.pods[i];
        if (&m->pods[i] != p && waits_for(o, at) && o->t->priority >= p->t->priority) {
            o->node = at;
        }
    }
    return room_lets_in(&with, &with.pods[p - m->pods], at);
}

bool placement_could_push_out(const struct model *m, const struct pod *p, int at)
{
    struct model without = *m;
    bool any = false;
    for (unsigned i = 0; i < PODS; i++) {
        struct pod *o = &without.pods[i];
        if (o->exists && !o->finished && o->node == at && o->t->priority < p->t->priority) {
            o->exists = false;
            any = true;
        }
    }
    return any && placement_lets_in(&without, &without.pods[p - m->pods], at);
}

/* ---- Gangs ---- */

const struct group *placement_group_of(const struct model *m, const struct template *t)
{
    return t->group == 0 ? NULL : &m->groups[t->ns][t->group - 1];
}

bool placement_same_group(const struct template *a, const struct template *b)
{
    return a->group != 0 && a->group == b->group && a->ns == b->ns;
}

unsigned placement_gang_has(const struct model *m, const struct template *t)
{
    unsigned has = 0;
    for (unsigned i = 0; i < PODS; i++) {
        const struct pod *o = &m->pods[i];
        has += o->exists && placement_same_group(o->t, t) && (o->finished || (o->node >= 0 && !o->deleting));
    }
    return has;
}

bool placement_gang_waits(const struct model *m, const struct pod *p)
{
    const struct group *g = placement_group_of(m, p->t);
    unsigned wait = 0;
    for (unsigned i = 0; i < PODS; i++) {
        const struct pod *o = &m->pods[i];
        wait += o->exists && placement_same_group(o->t, p->t) && !o->finished && !o->deleting && o->node < 0;
    }
    return g != NULL && (!g->exists || placement_gang_has(m, p->t) + wait < g->min);
}
