/* What whoever writes is told about pod security. Pods are refused elsewhere, where controllers are held to it too
 * (raft-store/store/bounds.h). Source: Kubernetes' admission plugin PodSecurity, whose words these are. */
#include "proto/facts/pod_security.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "master/api/admission.h"
#include "master/auth/access.h"
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

static void warn_of_pods(const struct admission *ad, const struct kind *k, const struct value *doc,
                         const struct value *before)
{
    struct str ns = value_path_str(doc, "metadata.namespace");
    const struct value *now = pod_part(k, doc), *was = before == NULL ? NULL : pod_part(k, before);
    struct pod_security asked = bounds_security(ad->tip, ns.n == 0 ? STR("default") : ns);
    CLEANUP_BUF struct buf found = BUF_INIT;
    if (asked.warn == POD_SECURITY_PRIVILEGED || (was != NULL && value_equal(now, was))) {
        return;
    }
    if (k->id == KIND_POD && asked.enforce >= asked.warn) {
        return; /* it is refused, or keeps to it */
    }
    pod_security_breaks(&found, now, asked.warn);
    if (found.size > 0) {
        admit_warn(ad, value_strf(ad->arena, "would violate PodSecurity \"%s:latest\": %s",
                                  pod_security_words[asked.warn], buf_cstr(&found)));
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

void admit_pod_security(const struct admission *ad, const struct kind *k, const struct value *doc,
                        const struct value *before)
{
    if (ad->warnings == NULL || ad->tip == NULL) {
        return;
    }
    if (k->id == KIND_NAMESPACE && before != NULL) {
        warn_of_namespace(ad, doc, before);
    } else if (k->pods != NULL) {
        warn_of_pods(ad, k, doc, before);
    }
}
