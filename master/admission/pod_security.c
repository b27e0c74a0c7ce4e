/* Pod security: what whoever writes is told, and what the record of his request says. Pods are refused in the
 * evaluation, where controllers are held to it too (bounds_secure). Source: Kubernetes' admission plugin PodSecurity,
 * whose words and annotations these are. */
#include "proto/facts/pod_security.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "master/admission/row.h"
#include "master/auth/access.h"
#include "proto/facts/cluster.h"
#include "raft-store/store/bounds.h"

#define LOOK_AT_MAX 500u /* pods of a namespace, when its level changes */
#define TELL_MAX    10u  /* of them */

/* The part of a document that is a pod, or a template of one: above k->pods, "spec" or "spec.template.spec". */
static const struct value *pod_part(const struct kind *k, const struct value *doc)
{
    struct str path = str_of(k->pods);
    char above[64];
    assert(path.n >= 4 && path.n < sizeof above);
    if (path.n == 4) {
        return doc;
    }
    snprintf(above, sizeof above, "%.*s", (int)(path.n - 5), path.p);
    return value_path(doc, above);
}

static char *broken(const struct admission *ad, const struct value *pod, enum pod_security_level level)
{
    CLEANUP_BUF struct buf found = BUF_INIT;
    pod_security_breaks(&found, pod, level);
    return found.size == 0 ? NULL
                           : arena_printf(ad->arena, "would violate PodSecurity \"%s:latest\": %s",
                                          pod_security_words[level], buf_cstr(&found));
}

static void tell_of_pods(const struct admission *ad, const struct kind *k, const struct value *doc,
                         const struct value *before)
{
    struct str ns = value_path_str(doc, "metadata.namespace");
    const struct value *now = pod_part(k, doc), *was = before == NULL ? NULL : pod_part(k, before);
    struct pod_security asked = bounds_security(ad->tip, ns.n == 0 ? STR("default") : ns);
    bool pod = k->id == KIND_POD;
    if (now == NULL || (was != NULL && value_equal(now, was))) {
        return;
    }
    if (pod) {
        admit_note(ad, k, doc, POD_SECURITY_PREFIX "enforce-policy",
                   arena_printf(ad->arena, "%s:latest", pod_security_words[asked.enforce]));
    }
    const char *audit = ad->notes == NULL ? NULL : broken(ad, now, asked.audit);
    if (audit != NULL) {
        admit_note(ad, k, doc, POD_SECURITY_PREFIX "audit-violations", audit);
    }
    /* A pod that goes against a level that is enforced is refused, so it keeps to it or has no need of a warning. */
    const char *warning =
        ad->warnings == NULL || (pod && asked.enforce >= asked.warn) ? NULL : broken(ad, now, asked.warn);
    if (warning != NULL) {
        admit_warn(ad, value_cstr(ad->arena, warning));
    }
}

static void warn_of_namespace(const struct admission *ad, const struct value *doc, const struct value *before)
{
    struct str ns = value_path_str(doc, "metadata.name");
    struct str said = value_to_str(value_get(value_path(doc, "metadata.labels"), POD_SECURITY_PREFIX "enforce"));
    struct str was = value_to_str(value_get(value_path(before, "metadata.labels"), POD_SECURITY_PREFIX "enforce"));
    enum pod_security_level level = POD_SECURITY_PRIVILEGED;
    unsigned looked = 0, bad = 0;
    if (!pod_security_parse(said, &level) || level == POD_SECURITY_PRIVILEGED || str_eq(said, was)) {
        return;
    }
    /* Names of pods are for who may list them. */
    const struct access list = {.verb = STR("list"), .resource = STR("pods"), .ns = ns};
    struct error ignored = {0};
    bool may_list = ad->who == NULL || access_check(ad->tip, ad->who, &list, &ignored) == 0;
    struct view_iter it;
    view_iter(&it, ad->tip, kind_by_id(KIND_POD), ns);
    VIEW_FOR(pod, &it)
    {
        CLEANUP_BUF struct buf found = BUF_INIT;
        if (++looked > LOOK_AT_MAX) {
            break;
        }
        pod_security_breaks(&found, object_to_value(ad->arena, pod), level);
        if (found.size == 0) {
            continue;
        }
        if (bad++ == 0) {
            admit_warn(ad, value_strf(ad->arena,
                                      "existing pods in namespace \"%.*s\" violate the new PodSecurity enforce level "
                                      "\"%s:latest\"",
                                      STR_ARG(ns), pod_security_words[level]));
        }
        if (bad <= TELL_MAX && may_list) {
            admit_warn(ad, value_strf(ad->arena, "%.*s: %s", STR_ARG(pod->name), buf_cstr(&found)));
        }
    }
    if (bad > TELL_MAX || (bad > 0 && !may_list)) {
        admit_warn(ad,
                   value_strf(ad->arena, may_list ? "and %u other pods" : "%u pods", may_list ? bad - TELL_MAX : bad));
    }
    if (looked > LOOK_AT_MAX) {
        admit_warn(ad, value_strf(ad->arena, "only the first %u pods were looked at", LOOK_AT_MAX));
    }
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    (void)err;
    if (c->part == TXN_PART_STATUS) {
        return 0;
    }
    if (c->kind->id == KIND_NAMESPACE && c->before != NULL && ad->warnings != NULL) {
        warn_of_namespace(ad, c->doc, c->before);
    } else if (c->kind->pods != NULL && (ad->warnings != NULL || ad->notes != NULL)) {
        tell_of_pods(ad, c->kind, c->doc, c->before);
    }
    return 0;
}

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    struct pod_security s =
        cluster_pod_security(view_get(v, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)));
    (void)on; /* namespaces have labels of their own */
    return arena_printf(a, "enforce=%s warn=%s audit=%s", pod_security_words[s.enforce], pod_security_words[s.warn],
                        pod_security_words[s.audit]);
}

const struct admission_row admission_pod_security = {
    .name = "PodSecurity",
    .kinds_told = "pods, what makes pods, namespaces",
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .evaluated = true,
    .help = "Pods keep to the level that their namespace's labels enforce; who makes others is warned, and it is "
            "recorded.",
    .check = check,
    .setting = setting,
};
