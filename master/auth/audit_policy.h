/* Which requests are recorded, and how much of each: a document of audit.k8s.io/v1, kind Policy, as Kubernetes' masters
 * take it in a file. Rules are looked at in order; the first that fits says the level; none fits: nothing is recorded.
 * Pure. Source: Kubernetes' audit.k8s.io/v1 and the matching of its policy checker. */
#ifndef MASTER_AUTH_AUDIT_POLICY_H
#define MASTER_AUTH_AUDIT_POLICY_H

#include "master/auth/rbac.h"

enum audit_level { AUDIT_NONE, AUDIT_METADATA, AUDIT_REQUEST, AUDIT_REQUEST_RESPONSE };
extern const char *const audit_level_words[4];

/* One object, or one path, that a request is about. Borrowed texts. */
struct audit_what {
    struct str verb;
    struct str group, version, resource, sub; /* resource empty: it is a path */
    struct str ns, name;
    struct str path;
};

#define AUDIT_NAME      "reeve-audit" /* of the ConfigMap, in kube-system */
#define AUDIT_KEY       "policy.yaml"
#define AUDIT_RULES_MAX 256u
#define AUDIT_STAGE     "ResponseComplete" /* the one that is written; a policy that omits it records nothing */
struct audit_policy;
/* text: YAML or JSON. ERR_INVALID, with the field's path. */
int audit_policy_read(struct str text, struct audit_policy **out, struct error *err);
void audit_policy_free(struct audit_policy *p); /* NULL is fine */
enum audit_level audit_policy_level(const struct audit_policy *p, const struct rbac_subject *who,
                                    const struct audit_what *what);

/* Whatever a policy says, of these nothing is recorded but that they were asked for: Secrets, tokens, and what masters
 * keep of the cluster. */
bool audit_is_secret(const struct audit_what *what);

#endif
