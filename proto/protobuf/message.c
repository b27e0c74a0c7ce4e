/* Messages by kind, and those of answers. Source: Kubernetes' meta/v1 generated.proto. */
#include "proto/protobuf/message.h"

#include "proto/schema/table.h"

/* clang-format off */

#define TYPE_ROWS                                                                                                      \
    STRING("apiVersion", "Group and version of the API that the document is written in.", NO_NUMBER),                  \
        STRING("kind", "What the document describes.", NO_NUMBER)

SCHEMA_STATIC(list_meta, "ListMeta", "What is known of a list.",
    STRING("selfLink", "Not used any more."),
    STRING("resourceVersion", "The version that it is of."),
    STRING("continue", "What the next page is asked for with."),
    INT64("remainingItemCount", "How many come behind this page."));

SCHEMA_STATIC(status_cause, "StatusCause", "One thing that is wrong.",
    STRING("reason", "What, in one word."),
    STRING("message", "What, for people."),
    STRING("field", "Where."));

SCHEMA_STATIC(status_details, "StatusDetails", "What it is about.",
    STRING("name", "Name of the object."),
    STRING("group", "Group of its kind."),
    STRING("kind", "Its resource or kind."),
    OBJECTS("causes", status_cause, "All that is wrong."),
    INT32("retryAfterSeconds", "When to ask again."),
    STRING("uid", "Identity of the object."));

SCHEMA_STATIC(status, "Status", "What became of a request.",
    TYPE_ROWS,
    OBJECT("metadata", list_meta, "What is known of a list."),
    STRING("status", "Success or Failure."),
    STRING("message", "For people."),
    STRING("reason", "In one word."),
    OBJECT("details", status_details, "What it is about."),
    INT32("code", "The HTTP status."));

SCHEMA_STATIC(partial, "PartialObjectMetadata", "An object without what is not metadata.",
    TYPE_META);
/* clang-format on */

static const struct schema *of_kind(struct str api_version, struct str name)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        const struct schema *s = !k->json_only && str_is(name, k->name) ? kind_version_schema(k, api_version) : NULL;
        if (s != NULL) {
            return s;
        }
    }
    return NULL;
}

const struct schema *protobuf_schema(struct str api_version, struct str name)
{
    const struct kind *request = kind_of_request(api_version, name);
    if (request != NULL) {
        return request->schema;
    }
    if (str_is(api_version, "v1") && str_is(name, "Status")) {
        return &status;
    }
    if (str_starts(api_version, STR("meta.k8s.io/")) && str_is(name, "PartialObjectMetadata")) {
        return &partial;
    }
    return of_kind(api_version, name);
}
