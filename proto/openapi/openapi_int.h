/* Inside proto/openapi: what is served, the types that it is made of, and who writes which part of a document. */
#ifndef PROTO_OPENAPI_OPENAPI_INT_H
#define PROTO_OPENAPI_OPENAPI_INT_H

#include "base/mem.h"
#include "proto/model/value.h"
#include "proto/openapi/openapi.h"
#include "proto/schema/kind.h"

/* A kind in a version in which it is answered; or a request. */
struct openapi_served {
    const struct kind *kind;
    const char *api_version;
    const char
        *place; /* of its document in v3: "apis/apps/v1"; that of its parent for what is asked of a kind's object */
    const struct schema *schema;
    unsigned type, list; /* of `types`; list = type: it has none */
};

/* A definition. */
struct openapi_type {
    const char *name;            /* "io.k8s.api.core.v1.Pod" */
    const struct schema *schema; /* NULL: a list of items, or a form of scalars */
    const char *format, *doc;    /* a form of scalars: how its text is written ("date-time"); "" = no more is said */
    unsigned items;              /* a list: the type of what is in it */
    const struct openapi_served *root; /* NULL: a part of others */
};

/* Which definition a table is; several may be one. */
struct openapi_schema {
    const struct schema *schema;
    unsigned type;
};

struct openapi {
    struct arena arena;
    unsigned level;
    const char *version;
    struct openapi_served *served;
    unsigned served_count, served_cap;
    struct openapi_type *types;
    unsigned types_count, types_cap;
    struct openapi_schema *schemas;
    unsigned schemas_count, schemas_cap;
    const char **places; /* of v3 */
    unsigned places_count, places_cap;
    struct openapi_document v2_json, v2_protobuf, index, *v3; /* bytes NULL: not made yet; v3: one a place */
};

/* A document that is being made. */
struct openapi_maker {
    const struct openapi *o;
    struct arena *a;
    bool v3;
    bool *wanted; /* types that something refers to */
};

/* openapi_types.c: fills served, types and places. */
void openapi_list(struct openapi *o, openapi_serves *serves);
/* The type of a schema, or of a form of scalars ("Time"). It is there. */
unsigned openapi_type_of(const struct openapi *o, const struct schema *s);
unsigned openapi_scalar(const struct openapi *o, const char *name);
bool openapi_has_field(const struct openapi *o, const struct field *f); /* it is of the cluster's level */

/* openapi_definitions.c: {"$ref": ...}, which makes the type wanted; and all wanted types, by name. */
struct value *openapi_reference(struct openapi_maker *m, unsigned type);
struct value *openapi_definitions(struct openapi_maker *m);
/* {"group": ..., "version": ..., "kind": ...} */
struct value *openapi_gvk(struct arena *a, const char *api_version, const char *kind);

/* openapi_paths.c: the paths of what is served at a place; NULL = everywhere. */
struct value *openapi_paths(struct openapi_maker *m, const char *place);

/* openapi_gnostic.c: a document of v2 in the protobuf form. */
void openapi_write_gnostic(struct buf *out, const struct value *document);

#endif
