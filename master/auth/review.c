/* access, rules: what somebody may do, and by which rule. Kubernetes' SelfSubjectAccessReview, SubjectAccessReview and
 * SelfSubjectRulesReview (authorization.k8s.io/v1); the members of their documents stand in proto/rpc/api.h. */
#include "base/mem.h"
#include "master/auth/access.h"
#include "master/master.h"

#define REVIEW_RULES_MAX 4096u

static const struct view *committed(const struct api_call *c)
{
    return store_committed(replica_store(c->m->replica));
}

/* ---- access ---- */

static void write_object(struct buf *b, const char *key, const struct object *o)
{
    mp_write_cstr(b, key);
    mp_write_map(b, 2 + (o->ns.n > 0));
    mp_write_key_str(b, "kind", str_of(o->kind->name));
    if (o->ns.n > 0) {
        mp_write_key_str(b, "namespace", o->ns);
    }
    mp_write_key_str(b, "name", o->name);
}

static void write_mp(struct buf *b, const char *key, struct mp m)
{
    mp_write_cstr(b, key);
    if (mp_type(m) == MP_NONE) {
        mp_write_nil(b);
    } else {
        buf_append(b, m.p, (size_t)(m.end - m.p));
    }
}

static struct mp rule_at(const struct object *role, unsigned n)
{
    for (struct mp_iter it = mp_iter(mp_get(object_mp(role), "rules")); mp_next(&it); n--) {
        if (n == 0) {
            return it.value;
        }
    }
    return mp_of(NULL, 0);
}

static void write_answer(struct buf *b, const struct rbac_subject *who, const struct rbac_answer *answer)
{
    CLEANUP_BUF struct buf reason = BUF_INIT;
    bool by_rule = answer->by == RBAC_RULE;
    rbac_write_reason(&reason, answer);
    mp_write_map(b, 3 + 4 * by_rule);
    mp_write_key_bool(b, "allowed", answer->allowed);
    mp_write_key_str(b, "user", who->user);
    mp_write_key_str(b, "reason", buf_str(&reason));
    if (by_rule) {
        write_object(b, "binding", answer->binding);
        write_object(b, "role", answer->role);
        write_mp(b, "subject", answer->subject);
        write_mp(b, "rule", rule_at(answer->role, answer->rule));
    }
}

/* Somebody of this name and these groups, as a certificate or token would prove him. */
static void other_subject(const struct api_access *q, struct rbac_subject *s)
{
    *s = (struct rbac_subject){.user = q->user};
    for (unsigned i = 0; i < q->groups_count; i++) {
        s->groups[s->groups_count++] = q->groups[i];
    }
    if (str_starts(q->user, STR(RBAC_NODE_USER)) && rbac_in_group(s, RBAC_NODE_GROUP)) {
        s->node = (struct str){q->user.p + sizeof RBAC_NODE_USER - 1, q->user.n - (sizeof RBAC_NODE_USER - 1)};
    }
}

void verb_access(struct api_call *c, const struct api_access *q)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct access_who self;
    struct rbac_subject other;
    struct rbac_answer answer;
    access_who(c->who, &self);
    if (q->other) {
        other_subject(q, &other);
    }
    const struct rbac_subject *who = q->other ? &other : &self.subject;
    access_decide(committed(c), who, &q->what, &answer);
    write_answer(&b, who, &answer);
    c->front->told(c, mp_of(b.data, b.size));
}

/* ---- rules ---- */

static void write_list(struct buf *b, const char *key, const char *item)
{
    mp_write_cstr(b, key);
    mp_write_array(b, 1);
    mp_write_cstr(b, item);
}

/* Of who may do everything. */
static unsigned write_all(struct buf *b)
{
    mp_write_map(b, 3);
    write_list(b, "verbs", "*");
    write_list(b, "apiGroups", "*");
    write_list(b, "resources", "*");
    mp_write_map(b, 2);
    write_list(b, "verbs", "*");
    write_list(b, "nonResourceURLs", "*");
    return 2;
}

void verb_rules(struct api_call *c, const struct api_rules *q)
{
    CLEANUP_BUF struct buf b = BUF_INIT, rules = BUF_INIT;
    CLEANUP_FREE struct mp *lists = xcalloc(RBAC_LISTS_MAX, sizeof *lists);
    struct access_who who;
    bool more = false;
    unsigned n = 0;
    access_who(c->who, &who);
    if (who.subject.master || rbac_in_group(&who.subject, ACCESS_MASTERS)) {
        n = write_all(&rules);
    } else {
        unsigned count = rbac_rules(committed(c), &who.subject, q->ns, lists, RBAC_LISTS_MAX, &more);
        for (unsigned i = 0; i < count; i++) {
            for (struct mp_iter it = mp_iter(lists[i]); mp_next(&it);) {
                if (n == REVIEW_RULES_MAX) {
                    more = true;
                    break;
                }
                buf_append(&rules, it.value.p, (size_t)(it.value.end - it.value.p));
                n++;
            }
        }
    }
    mp_write_map(&b, 2);
    mp_write_key_bool(&b, "incomplete", more || who.subject.node.n > 0); /* a node's depend on its pods */
    mp_write_cstr(&b, "rules");
    mp_write_array(&b, n);
    buf_append(&b, rules.data, rules.size);
    c->front->told(c, mp_of(b.data, b.size));
}
