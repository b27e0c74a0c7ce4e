/* Kinds that Kubernetes has and Reeve has not yet. A row leaves this table when the kind comes. A user who names one is
 * told that it is missing, instead of being asked whether another kind of a similar name was meant. Source: Kubernetes
 * API reference v1.29. */
#include <string.h>

#include "proto/kinds/kinds.h"

static const struct {
    const char *name;
    const char *names; /* plural, singular and short names, comma separated */
} NOT_YET[] = {
    {"APIService", "apiservices,apiservice"},
    {"Binding", "bindings,binding"},
    {"ComponentStatus", "componentstatuses,componentstatus,cs"},
    {"CSIDriver", "csidrivers,csidriver"},
    {"CSINode", "csinodes,csinode"},
    {"CSIStorageCapacity", "csistoragecapacities,csistoragecapacity"},
    {"CustomResourceDefinition", "customresourcedefinitions,customresourcedefinition,crd,crds"},
    {"Eviction", "evictions,eviction"},
    {"FlowSchema", "flowschemas,flowschema"},
    {"Gateway", "gateways,gateway,gtw"},
    {"GatewayClass", "gatewayclasses,gatewayclass,gc"},
    {"HTTPRoute", "httproutes,httproute"},
    {"LocalSubjectAccessReview", "localsubjectaccessreviews,localsubjectaccessreview"},
    {"MutatingWebhookConfiguration", "mutatingwebhookconfigurations,mutatingwebhookconfiguration"},
    {"NodeMetrics", "nodemetrics"},
    {"PodMetrics", "podmetrics"},
    {"PodSecurityPolicy", "podsecuritypolicies,podsecuritypolicy,psp"},
    {"PriorityLevelConfiguration", "prioritylevelconfigurations,prioritylevelconfiguration"},
    {"ResourceClaim", "resourceclaims,resourceclaim"},
    {"SelfSubjectAccessReview", "selfsubjectaccessreviews,selfsubjectaccessreview"},
    {"SelfSubjectRulesReview", "selfsubjectrulesreviews,selfsubjectrulesreview"},
    {"SubjectAccessReview", "subjectaccessreviews,subjectaccessreview"},
    {"TokenReview", "tokenreviews,tokenreview"},
    {"ValidatingAdmissionPolicy", "validatingadmissionpolicies,validatingadmissionpolicy"},
    {"ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings,validatingadmissionpolicybinding"},
    {"ValidatingWebhookConfiguration", "validatingwebhookconfigurations,validatingwebhookconfiguration"},
    {"VolumeAttachment", "volumeattachments,volumeattachment"},
    {"Workload", "workloads,workload"},
};

static bool is_among(const char *names, struct str name)
{
    while (*names != '\0') {
        size_t n = strcspn(names, ",");
        if (n == name.n && strncasecmp(names, name.p, n) == 0) {
            return true;
        }
        names += n + (names[n] == ',');
    }
    return false;
}

const char *kind_not_yet(struct str name)
{
    const char *dot = name.n == 0 ? NULL : memchr(name.p, '.', name.n); /* "jobs.batch", "jobs.v1.batch" */
    name.n = dot == NULL ? name.n : (size_t)(dot - name.p);
    for (unsigned i = 0; i < ARRAY_SIZE(NOT_YET) && name.n > 0; i++) {
        if (is_among(NOT_YET[i].names, name)) {
            return NOT_YET[i].name;
        }
    }
    return NULL;
}

const char *kind_instead(struct str name)
{
    const char *kind = kind_not_yet(name);
    return kind != NULL && strcmp(kind, "ComponentStatus") == 0
               ? "Kubernetes has deprecated it, and it is told over HTTPS alone (kubectl get cs); \"rctl cluster "
                 "status\" and "
                 "/readyz?verbose tell how the masters are"
               : NULL;
}

void kind_explain_unknown(struct buf *out, struct str name)
{
    const char *not_yet = kind_not_yet(name), *instead = kind_instead(name);
    const struct kind *near = not_yet == NULL ? kind_nearest(name) : NULL;
    if (instead != NULL) {
        buf_printf(out, "%s is not there: %s", not_yet, instead);
    } else if (not_yet != NULL) {
        buf_printf(out, "%s is not there yet; \"rctl api-resources\" lists the kinds that are", not_yet);
    } else if (near != NULL) {
        bool kind = name.p[0] >= 'A' && name.p[0] <= 'Z'; /* as manifests spell it, or as commands do */
        buf_printf(out, "did you mean \"%s\"?", kind ? near->name : near->plural);
    } else {
        buf_puts(out, "\"rctl api-resources\" lists the kinds");
    }
}
