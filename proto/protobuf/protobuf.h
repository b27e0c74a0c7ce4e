/* Kubernetes' protobuf form: bodies of requests, read into the document that a JSON body would have given, and answers.
 *
 * Typed clients in Go (Helm, kubectl create, operators) send kinds that they know in this form, and ask for answers in
 * it before JSON. A body is four bytes `k8s\0` and a message Unknown {1 typeMeta
 * {1 apiVersion, 2 kind}, 2 raw}; raw is the message of the kind. Which number a field has stands in the row of its
 * table (struct field: number), so one reader reads all kinds, and bodies of requests that are never stored
 * (kind_of_request).
 *
 * What these messages cannot say is made good: a field that Kubernetes' types do not point to is always written, and
 * one that is empty, 0 or false (FIELD_ZERO) is left out of the document, as JSON of the same client leaves it out. A
 * time of zero is none. Numbers that no row has are passed over, as Kubernetes does whatever fieldValidation says;
 * what comes twice and may come once is refused, as the reader of JSON refuses it.
 *
 * Source: Kubernetes' k8s.io/apimachinery runtime.Unknown and generated.proto of each group; protobuf encoding (proto2)
 * as protobuf.dev describes it, without groups. */
#ifndef PROTO_PROTOBUF_PROTOBUF_H
#define PROTO_PROTOBUF_PROTOBUF_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/msgpack.h"
#include "proto/model/value.h"

#define PROTOBUF_MEDIA_TYPE "application/vnd.kubernetes.protobuf"
#define PROTOBUF_SIZE_MAX   (3u << 20) /* of a body: Kubernetes' limit of a request */
#define PROTOBUF_NODES_MAX  (1u << 17) /* of the document, with what is passed over */

/* The body as a document in the arena, with apiVersion and kind, ready for kind_of_document and kind_check (or
 * kind_of_request and kind_check_fields). For a body whose envelope names no kind the caller's api_version and kind
 * count (those of the address); both may be empty. Strings are copied. Bytes are VALUE_BIN.
 * ERR_USAGE: no message is known for the kind that the envelope names, or not in this version (400, as Kubernetes).
 * ERR_PROTOCOL: malformed, or encoded otherwise; the message names the field's path, err->field is the path (400).
 * ERR_INVALID: well-formed, and of a form that is not carried out (a source of volumes that only a cloud has).
 * ERR_TOO_LARGE: PROTOBUF_SIZE_MAX, PROTOBUF_NODES_MAX, or a list or map above the limits of documents. */
int protobuf_read(struct arena *a, const void *body, size_t n, struct str api_version, struct str kind,
                  struct value **doc, struct error *err);

/* ---- Writing (write.c) ----
 *
 * Fields stand in the order of the tables, which means nothing. What a message cannot say goes: null, and whether a map
 * or a list without members is there. Lengths stand in front: of a list, all of which must be known before it leaves,
 * its caller counts the items' bytes (protobuf_open_item to protobuf_close_item) beforehand. */

struct schema;
/* What is no part of a stored object. {0}: nothing. */
struct protobuf_extra {
    uint64_t revision; /* metadata.resourceVersion */
    struct mp managed; /* metadata.managedFields: a list, as documents have it */
};
/* Is there a message for the kind in this version? Also of requests, of Status and of PartialObjectMetadata. */
bool protobuf_known(struct str api_version, struct str kind);
/* The message alone. body: sound msgpack; what the table does not know is left out. */
void protobuf_write_message(struct buf *out, const struct schema *s, struct mp body, const struct protobuf_extra *x);
/* PartialObjectMetadata, of an object's metadata. */
void protobuf_write_partial(struct buf *out, struct mp metadata, const struct protobuf_extra *x);
/* The envelope that a message is written into between the two; protobuf_open answers what protobuf_close wants. */
size_t protobuf_open(struct buf *out, struct str api_version, struct str kind);
void protobuf_close(struct buf *out, size_t at);
/* A whole answer: a document as its JSON says it. False, and nothing is written: no message is known for it. */
bool protobuf_write_document(struct buf *out, const struct value *doc);

/* A list: its beginning, items, its end. token empty: it has no more pages. remaining < 0: not known. */
void protobuf_open_list(struct buf *out, struct str api_version, struct str kind, uint64_t revision, struct str token,
                        int64_t remaining, size_t items_bytes);
size_t protobuf_open_item(struct buf *out);
void protobuf_close_item(struct buf *out, size_t at);
void protobuf_close_list(struct buf *out);

/* One event of a watch, in its frame: four bytes of length, the highest first, and WatchEvent {1 type, 2 {1 raw}}.
 * envelope: the object, in its own. */
void protobuf_write_event(struct buf *out, const char *type, struct str envelope);

#endif
