/* What a path of the API names. Pure.
 *
 *   /api/v1/...  /apis/GROUP/VERSION/...   then  [namespaces/NS/]PLURAL[/NAME[/PART]], or watch/ in front of that
 *
 * Behind /proxy of a pod, a service or a node everything is theirs. A '/' at the end counts for nothing. Source:
 * Kubernetes API concepts, "Resource URIs"; the prefix watch/ is of versions before 1.0 and still asked for. */
#ifndef MASTER_REST_PATH_H
#define MASTER_REST_PATH_H

#include "base/mem.h"
#include "proto/schema/kind.h"

#define REST_SEGMENTS_MAX 12u

enum rest_place {
    REST_NOWHERE,
    REST_ROOT,          /* / */
    REST_CORE_VERSIONS, /* /api */
    REST_GROUPS,        /* /apis */
    REST_GROUP,         /* /apis/GROUP */
    REST_RESOURCES,     /* /api/v1, /apis/GROUP/VERSION */
    REST_OBJECTS,       /* kind is set */
    REST_REVIEW,        /* answered by a document (discovery.h): resource is set */
    REST_VERSION,       /* /version */
    REST_HEALTH,        /* /healthz, /livez, /readyz; name: of one check */
    REST_OPENID,        /* /.well-known/openid-configuration; name "jwks": /openid/v1/jwks */
    REST_METRICS,       /* /metrics */
    REST_OPENAPI_2,     /* /openapi/v2 */
    REST_OPENAPI_3,     /* /openapi/v3; name: of a document, "apis/apps/v1" */
};

struct rest_path {
    enum rest_place place;
    struct str group, version; /* "" and "v1"; "apps" and "v1" */
    const char *api_version;   /* OBJECTS: what documents are answered in; the kind's own, or one of its versions */
    const struct kind *kind;   /* OBJECTS */
    struct str plural;         /* OBJECTS, REVIEW */
    bool has_ns;               /* the path named a namespace */
    struct str ns, name, part; /* "" : none */
    bool watch;                /* by the old prefix */
    struct str rest;           /* of the part "proxy": what is behind it, as it came: "/a%20b" or "" */
    const char *health;        /* HEALTH: "healthz" */
    const struct rest_extra *extra; /* REVIEW */
};

/* Resources that are no kinds of the store. */
enum rest_extra_verb {
    REST_EXTRA_WHOAMI,
    REST_EXTRA_METRICS,
    REST_EXTRA_BIND,
    REST_EXTRA_SELF_ACCESS, /* review.c, as the next three */
    REST_EXTRA_ACCESS,
    REST_EXTRA_LOCAL_ACCESS,
    REST_EXTRA_RULES,
    REST_EXTRA_TOKEN_REVIEW, /* account.c */
    REST_EXTRA_COMPONENTS,   /* components.c */
};
struct rest_extra {
    const char *api_version, *kind, *plural, *singular, *short_names;
    bool namespaced;
    enum rest_extra_verb verb;
    enum kind_id of;   /* METRICS: whose */
    const char *verbs; /* for discovery, separated by blanks */
};
extern const struct rest_extra rest_extras[];
extern const unsigned rest_extras_count;
bool rest_extra_is_review(const struct rest_extra *x); /* a document that is sent, answered and never kept */

/* path: as it came, encoded. Texts are put into the arena. False: malformed (an escape that is none, an empty segment
 * in the middle). What is well-formed and names nothing is REST_NOWHERE. */
bool rest_path_read(struct arena *a, struct str path, struct rest_path *out);
/* The versions that a kind is answered in: its own for 0, then the others; NULL: there are no more. */
const char *rest_kind_version(const struct kind *k, unsigned i);
struct str rest_group_of(const char *api_version);   /* "apps"; empty for "v1" */
struct str rest_version_of(const char *api_version); /* "v1" */

#endif
