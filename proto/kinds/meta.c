/* Schemas that all kinds share: metadata, label selectors, references. */
#include "proto/kinds/kinds.h"

/* clang-format off */

SCHEMA_STATIC(owner_reference, "OwnerReference", "Another object that this one belongs to and dies with.",
    STRING("apiVersion", "Group and version of the owner's kind.", REQUIRED, NUMBER(5)),
    STRING("kind", "Kind of the owner.", REQUIRED_KEY, NUMBER(1)),
    STRING("name", "Name of the owner.", REQUIRED_KEY, NUMBER(3)),
    STRING("uid", "Identity of the owner; a new object under the same name is another owner.", REQUIRED_KEY),
    BOOLEAN("controller", "True for the one owner that manages this object.", NUMBER(6)),
    BOOLEAN("blockOwnerDeletion", "In a foreground deletion the owner waits until this object is gone."));

SCHEMA_STATIC(managed_fields, "ManagedFieldsEntry", "Which fields a client has set. Kept as written.",
    STRING("manager", "Name of the client."),
    STRING("operation", "How the fields were set: Apply or Update."),
    STRING("apiVersion", "Version that the field names are written in."),
    TIME("time", "When the entry last changed."),
    STRING("fieldsType", "Form of fieldsV1.", NUMBER(6)),
    ANY("fieldsV1", "The set of fields."),
    STRING("subresource", "Part of the object that was written, such as status."));

SCHEMA(schema_object_meta, "ObjectMeta", "Name, labels and bookkeeping of an object.",
    STRING("name", "Name, unique among objects of the kind in its namespace. Cannot change."),
    STRING("generateName", "Prefix of a name that the masters complete when no name is given."),
    STRING("namespace", "Namespace that the object lives in; none for kinds of the whole cluster."),
    STRING("selfLink", "Not used any more.", READONLY),
    STRING("uid", "Identity of this very object, given by the masters, never used again.", READONLY),
    STRING("resourceVersion", "Revision of the last change. Sent along with a change, it makes the change fail if "
           "somebody else was faster."),
    INT64("generation", "Counts the changes of spec.", .flags = FIELD_READONLY | FIELD_ZERO),
    TIME("creationTimestamp", "When the object was made.", READONLY),
    TIME("deletionTimestamp", "When the object is to be gone; set by a delete that has to wait.", READONLY),
    INT64("deletionGracePeriodSeconds", "Seconds the object was given to end well.", READONLY),
    STRING_MAP("labels", "Short keys and values to find and group objects by."),
    STRING_MAP("annotations", "Free text by key for tools and people; not used to select."),
    OBJECTS("ownerReferences", owner_reference, "Objects this one belongs to.", MERGE("uid")),
    STRINGS("finalizers", "Who must agree before the object is really removed.", .flags = FIELD_SET),
    OBJECTS("managedFields", managed_fields, "Which client set which fields.", NUMBER(17)));

SCHEMA_STATIC(selector_requirement, "LabelSelectorRequirement", "One condition on a label.",
    STRING("key", "Key of the label.", REQUIRED),
    STRING("operator", "How the label is compared with values.", REQUIRED, ONE_OF("In|NotIn|Exists|DoesNotExist")),
    STRINGS("values", "Values for In and NotIn; empty for Exists and DoesNotExist."));

SCHEMA(schema_label_selector, "LabelSelector",
    "Selects objects by their labels. All conditions must hold; an empty selector selects everything.",
    STRING_MAP("matchLabels", "Labels that must be there with exactly these values."),
    OBJECTS("matchExpressions", selector_requirement, "Further conditions."));

SCHEMA(schema_local_reference, "LocalObjectReference", "Names an object of the same namespace.",
    STRING("name", "Name of the object.", KEY));

SCHEMA(schema_typed_reference, "TypedLocalObjectReference", "An object of any kind in the same namespace.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED));

SCHEMA(schema_object_reference, "ObjectReference", "Names an object anywhere, or a part of it.",
    STRING("kind", "Kind of the object."),
    STRING("namespace", "Its namespace.", KEY),
    STRING("name", "Its name.", KEY),
    STRING("uid", "Its identity.", KEY),
    STRING("apiVersion", "Group and version of its kind."),
    STRING("resourceVersion", "The revision that is meant, if one is."),
    STRING("fieldPath", "Part of the object, such as spec.containers{name}."));
