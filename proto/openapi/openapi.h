/* The API described for programs, made of the tables of kinds: OpenAPI v2 (as JSON and in the protobuf form of gnostic)
 * and v3 (an index, and a document for each group and version).
 *
 * What clients look for is there: definitions with x-kubernetes-group-version-kind and the texts of `explain`, required
 * fields, merge keys and kinds of lists, paths with the parameters that each verb knows (kubectl looks for dryRun and
 * fieldValidation of a kind's patch). No reference dangles: one that did would stop Argo CD.
 *
 * A document is made when it is first asked for, and kept; the tables are constants, so it never changes, and all of
 * them together are a few megabytes (tests/README.md has figures). One thread at a time.
 *
 * Source: OpenAPI 2.0 and 3.0.3; gnostic's openapiv2/OpenAPIv2.proto (numbers of fields); Kubernetes' extensions as
 * its API concepts and CRD pages describe them. */
#ifndef PROTO_OPENAPI_OPENAPI_H
#define PROTO_OPENAPI_OPENAPI_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "proto/schema/kind.h"

/* Content-Type of the protobuf form. What clients write in Accept has an '@' in it, which their own parsers of an
 * answer's type refuse. */
#define OPENAPI_V2_PROTOBUF_TYPE "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

struct openapi_document {
    const void *bytes;
    size_t size;
    char hash[33]; /* of the bytes, in hexadecimal: for ETag, and for ?hash= of the index of v3 */
};

struct openapi;
/* level: the cluster's feature level (schema/release.h); kinds and fields of later ones are left out. A cluster that
 * reaches the next one needs a new one. version: for info.version, "v1.33.0"; copied. serves: whether the caller takes
 * a request that is never stored (kind_requests_at), so that nothing is told that is not there; NULL: all of them. */
typedef bool openapi_serves(const struct kind *request);
struct openapi *openapi_new(unsigned level, const char *version, openapi_serves *serves);
void openapi_free(struct openapi *o); /* NULL is fine */

/* Borrowed, until openapi_free. */
const struct openapi_document *openapi_v2_json(struct openapi *o);     /* GET /openapi/v2, application/json */
const struct openapi_document *openapi_v2_protobuf(struct openapi *o); /* the same, OPENAPI_V2_PROTOBUF_TYPE */
/* GET /openapi/v3: {"paths":{"apis/apps/v1":{"serverRelativeURL":"/openapi/v3/apis/apps/v1?hash=..."}}}. Makes all of
 * v3 to know the hashes. */
const struct openapi_document *openapi_v3_index(struct openapi *o);
/* GET /openapi/v3/PLACE: "api/v1", "apis/apps/v1"; NULL if there is none. */
const struct openapi_document *openapi_v3(struct openapi *o, struct str place);

#endif
