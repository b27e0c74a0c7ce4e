/* Bodies of requests in Kubernetes' protobuf form, read into the document that a JSON body would have given.
 *
 * Typed clients in Go (Helm, kubectl create, operators) send kinds that they know in this form, and take JSON for an
 * answer; so it is read here and never written. A body is four bytes `k8s\0` and a message Unknown {1 typeMeta
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

#include "base/err.h"
#include "proto/model/value.h"

#define PROTOBUF_MEDIA_TYPE "application/vnd.kubernetes.protobuf"
#define PROTOBUF_SIZE_MAX   (3u << 20) /* of a body: Kubernetes' limit of a request */
#define PROTOBUF_NODES_MAX  (1u << 17) /* of the document, with what is passed over */

/* The body as a document in the arena, with apiVersion and kind, ready for kind_of_document and kind_check (or
 * kind_of_request and kind_check_fields). For a body whose envelope names no kind the caller's api_version and kind
 * count (those of the address); both may be empty. Strings are copied. Bytes are VALUE_BIN.
 * ERR_UNSUPPORTED: no message is known for the kind, or not in this version: send JSON (HTTP: 415).
 * ERR_PROTOCOL: malformed; the message names the field's path, err->field is the path (400).
 * ERR_INVALID: well-formed, and of a form that is not carried out (a source of volumes that only a cloud has).
 * ERR_TOO_LARGE: PROTOBUF_SIZE_MAX, PROTOBUF_NODES_MAX, or a list or map above the limits of documents. */
int protobuf_read(struct arena *a, const void *body, size_t n, struct str api_version, struct str kind,
                  struct value **doc, struct error *err);

#endif
