/* Bodies that ask for something and are never stored. Source: Kubernetes meta/v1 DeleteOptions, autoscaling/v1 Scale,
 * policy/v1 Eviction, core/v1 Binding, authentication/v1, authorization/v1. */
#include "proto/kinds/kinds.h"

/* clang-format off */

/* ---- Deleting, scaling, binding ---- */

SCHEMA_STATIC(preconditions, "Preconditions", "What must hold for it to happen.",
    STRING("uid", "It is still this very object.", .flags = FIELD_EMPTY),
    STRING("resourceVersion", "It has not changed since.", .flags = FIELD_EMPTY));

#define TYPE_ROWS                                                                                                      \
    STRING("apiVersion", "Group and version of the API that the document is written in.", NO_NUMBER),                  \
        STRING("kind", "What the document describes.", NO_NUMBER)

SCHEMA_STATIC(delete_options, "DeleteOptions", "How an object is deleted.",
    TYPE_ROWS,
    INT64("gracePeriodSeconds", "Seconds it is given to end well; 0: at once."),
    OBJECT("preconditions", preconditions, "What must hold for it to be deleted."),
    BOOLEAN("orphanDependents", "What belongs to it stays. The old way to say propagationPolicy."),
    STRING("propagationPolicy", "What becomes of what belongs to it: Background, it goes afterwards; Foreground, it "
           "goes first; Orphan, it stays.", ONE_OF("Orphan|Background|Foreground")),
    STRINGS("dryRun", "All: nothing is kept."),
    BOOLEAN("ignoreStoreReadErrorWithClusterBreakingPotential", "Delete it though it cannot be read. Never "
            "needed here."));

SCHEMA_STATIC(eviction, "Eviction", "Asks a pod to go if the disruption budgets allow it.",
    TYPE_META,
    OBJECT("deleteOptions", delete_options, "How the pod is deleted."));

SCHEMA_STATIC(binding, "Binding", "Gives a pod its node.",
    TYPE_META,
    OBJECT("target", schema_object_reference, "The node.", REQUIRED));

SCHEMA_STATIC(scale_spec, "ScaleSpec", "How many there should be.",
    INT32("replicas", "How many.", ZERO));
SCHEMA_STATIC(scale_status, "ScaleStatus", "How many there are.",
    INT32("replicas", "How many."),
    STRING("selector", "Which pods count, as text."));
SCHEMA_STATIC(scale, "Scale", "The size of something that has replicas.",
    TYPE_META,
    OBJECT("spec", scale_spec, "How many there should be."),
    OBJECT("status", scale_status, "How many there are.", READONLY));

/* ---- Who somebody is ---- */

/* A map of lists of texts. */
#define EXTRA(d) ROW("extra", FIELD_ANY, d, .shape = SHAPE_MAP)

SCHEMA_STATIC(user_info, "UserInfo", "Who somebody is.",
    STRING("username", "Name."),
    STRING("uid", "Identity, if names are used again."),
    STRINGS("groups", "Groups."),
    EXTRA("What else is known: lists of texts by name."));

SCHEMA_STATIC(bound_reference, "BoundObjectReference", "An object with which a token lives and dies.",
    STRING("kind", "Pod or Secret."),
    STRING("apiVersion", "Version of the kind."),
    STRING("name", "Name."),
    STRING("uid", "Identity."));

SCHEMA_STATIC(token_request_spec, "TokenRequestSpec", "What token is asked for.",
    STRINGS("audiences", "Who is to take it."),
    OBJECT("boundObjectRef", bound_reference, "The token ends with this object.", NUMBER(3)),
    INT64("expirationSeconds", "How long it is to be valid.", NUMBER(4)));
SCHEMA_STATIC(token_request_status, "TokenRequestStatus", "The token.",
    STRING("token", "The token.", .flags = FIELD_SECRET),
    TIME("expirationTimestamp", "When it ends."));
SCHEMA_STATIC(token_request, "TokenRequest", "Asks for a token of a service account.",
    TYPE_META,
    OBJECT("spec", token_request_spec, "What token is asked for."),
    OBJECT("status", token_request_status, "The token.", READONLY));

SCHEMA_STATIC(token_review_spec, "TokenReviewSpec", "The token.",
    STRING("token", "The token.", .flags = FIELD_SECRET),
    STRINGS("audiences", "Who asks; one of them must be whom the token is for."));
SCHEMA_STATIC(token_review_status, "TokenReviewStatus", "Whose it is.",
    BOOLEAN("authenticated", "The token is good.", ZERO),
    OBJECT("user", user_info, "Whose it is."),
    STRING("error", "Why nobody can tell.", NUMBER(3)),
    STRINGS("audiences", "Whom of those that asked it is for.", NUMBER(4)));
SCHEMA_STATIC(token_review, "TokenReview", "Asks whose a token is.",
    TYPE_META,
    OBJECT("spec", token_review_spec, "The token.", REQUIRED),
    OBJECT("status", token_review_status, "Whose it is.", READONLY));

SCHEMA_STATIC(self_review_status, "SelfSubjectReviewStatus", "Who asks.",
    OBJECT("userInfo", user_info, "Who asks."));
SCHEMA_STATIC(self_review, "SelfSubjectReview", "Asks who one is.",
    TYPE_META,
    OBJECT("status", self_review_status, "Who asks.", READONLY));

/* ---- What somebody may ---- */

SCHEMA_STATIC(requirement, "FieldSelectorRequirement", "One condition.",
    STRING("key", "What is looked at.", REQUIRED),
    STRING("operator", "In, NotIn, Exists or DoesNotExist.", REQUIRED),
    STRINGS("values", "What it is compared with."));
SCHEMA_STATIC(fields_asked, "FieldSelectorAttributes", "Of which objects, by their fields.",
    STRING("rawSelector", "As in a query."),
    OBJECTS("requirements", requirement, "The conditions, which must all hold."));
SCHEMA_STATIC(labels_asked, "LabelSelectorAttributes", "Of which objects, by their labels.",
    STRING("rawSelector", "As in a query."),
    OBJECTS("requirements", requirement, "The conditions, which must all hold."));

SCHEMA_STATIC(resource_attributes, "ResourceAttributes", "What is to be done to which objects.",
    STRING("namespace", "Namespace; empty: all, or none."),
    STRING("verb", "What is to be done: get, list, create, ..."),
    STRING("group", "Group of the kind."),
    STRING("version", "Version of the kind."),
    STRING("resource", "The kind, as in a path: pods."),
    STRING("subresource", "Part of an object: log."),
    STRING("name", "One object; empty: all."),
    OBJECT("fieldSelector", fields_asked, "Of which objects, by their fields."),
    OBJECT("labelSelector", labels_asked, "Of which objects, by their labels."));

SCHEMA_STATIC(path_attributes, "NonResourceAttributes", "What is to be done to a path that is no object's.",
    STRING("path", "The path."),
    STRING("verb", "What is to be done."));

SCHEMA_STATIC(access_status, "SubjectAccessReviewStatus", "Whether it is allowed.",
    BOOLEAN("allowed", "It is."),
    STRING("reason", "Why.", NUMBER(2)),
    STRING("evaluationError", "What went wrong while this was found out.", NUMBER(3)),
    BOOLEAN("denied", "It is not, whatever others say.", ZERO, NUMBER(4)));

#define ASKED_ROWS                                                                                                     \
    OBJECT("resourceAttributes", resource_attributes, "Something is to be done to objects."),                          \
        OBJECT("nonResourceAttributes", path_attributes, "Something is to be done to a path.")

SCHEMA_STATIC(access_spec, "SubjectAccessReviewSpec", "Who wants to do what.",
    ASKED_ROWS,
    STRING("user", "Who."),
    STRINGS("groups", "The groups that they are in."),
    EXTRA("What else is known of them."),
    STRING("uid", "Their identity."));
SCHEMA_STATIC(access_review, "SubjectAccessReview", "Asks whether somebody may do something.",
    TYPE_META,
    OBJECT("spec", access_spec, "Who wants to do what.", REQUIRED),
    OBJECT("status", access_status, "Whether it is allowed.", READONLY));
SCHEMA_STATIC(local_access, "LocalSubjectAccessReview", "Asks whether somebody may do something in a namespace.",
    TYPE_META,
    OBJECT("spec", access_spec, "Who wants to do what.", REQUIRED),
    OBJECT("status", access_status, "Whether it is allowed.", READONLY));

SCHEMA_STATIC(self_access_spec, "SelfSubjectAccessReviewSpec", "What one wants to do.",
    ASKED_ROWS);
SCHEMA_STATIC(self_access, "SelfSubjectAccessReview", "Asks whether one may do something.",
    TYPE_META,
    OBJECT("spec", self_access_spec, "What one wants to do.", REQUIRED),
    OBJECT("status", access_status, "Whether it is allowed.", READONLY));

SCHEMA_STATIC(resource_rule, "ResourceRule", "What is allowed with objects.",
    STRINGS("verbs", "What may be done; * is all.", REQUIRED),
    STRINGS("apiGroups", "Groups of the kinds."),
    STRINGS("resources", "The kinds."),
    STRINGS("resourceNames", "These objects alone."));
SCHEMA_STATIC(path_rule, "NonResourceRule", "What is allowed with paths.",
    STRINGS("verbs", "What may be done; * is all.", REQUIRED),
    STRINGS("nonResourceURLs", "The paths; * at the end is all below."));
SCHEMA_STATIC(rules_status, "SubjectRulesReviewStatus", "What is allowed.",
    OBJECTS("resourceRules", resource_rule, "With objects.", REQUIRED),
    OBJECTS("nonResourceRules", path_rule, "With paths.", REQUIRED),
    BOOLEAN("incomplete", "There may be more.", REQUIRED),
    STRING("evaluationError", "What went wrong while this was found out."));
SCHEMA_STATIC(rules_spec, "SelfSubjectRulesReviewSpec", "Where.",
    STRING("namespace", "Namespace that is asked about."));
SCHEMA_STATIC(self_rules, "SelfSubjectRulesReview", "Asks what one may do in a namespace.",
    TYPE_META,
    OBJECT("spec", rules_spec, "Where.", REQUIRED),
    OBJECT("status", rules_status, "What is allowed.", READONLY));

/* clang-format on */

#define REQUEST(var, title, version, place, in_namespace, table)                                                       \
    static const struct kind var = {.name = (title),                                                                   \
                                    .api_version = (version),                                                          \
                                    .plural = (place),                                                                 \
                                    .singular = "",                                                                    \
                                    .short_names = "",                                                                 \
                                    .namespaced = (in_namespace),                                                      \
                                    .schema = &(table)}
REQUEST(request_delete, "DeleteOptions", "v1", "", false, delete_options);
REQUEST(request_scale, "Scale", "autoscaling/v1", "", true, scale);
REQUEST(request_eviction, "Eviction", "policy/v1", "pods/eviction", true, eviction);
REQUEST(request_binding, "Binding", "v1", "pods/binding", true, binding);
REQUEST(request_token, "TokenRequest", "authentication.k8s.io/v1", "serviceaccounts/token", true, token_request);
REQUEST(request_review, "TokenReview", "authentication.k8s.io/v1", "tokenreviews", false, token_review);
REQUEST(request_self, "SelfSubjectReview", "authentication.k8s.io/v1", "selfsubjectreviews", false, self_review);
REQUEST(request_access, "SubjectAccessReview", "authorization.k8s.io/v1", "subjectaccessreviews", false, access_review);
REQUEST(request_local_access, "LocalSubjectAccessReview", "authorization.k8s.io/v1", "localsubjectaccessreviews", true,
        local_access);
REQUEST(request_self_access, "SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews", false,
        self_access);
REQUEST(request_self_rules, "SelfSubjectRulesReview", "authorization.k8s.io/v1", "selfsubjectrulesreviews", false,
        self_rules);

const struct kind *const requests_list[] = {
    &request_delete, &request_scale,  &request_eviction,     &request_binding,     &request_token,      &request_review,
    &request_self,   &request_access, &request_local_access, &request_self_access, &request_self_rules,
};
const unsigned requests_list_count = ARRAY_SIZE(requests_list);
