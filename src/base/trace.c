/* base/trace.c - the text of a trace event: "role from=0 to=1 term=3", written without stdio.
 *
 * The other member, where there is one, follows the event: "commit n2 index=7 term=1".
 */
#include "mortar/trace.h"

#include "base/assert.h"

struct text {
    char *data;
    size_t capacity; /* With the closing zero. */
    size_t bytes;
};

static void put_char(struct text *text, char value)
{
    if (text->bytes + 1 >= text->capacity) return;
    text->data[text->bytes++] = value;
}

static void put_string(struct text *text, const char *string)
{
    for (; *string != 0; string++) {
        put_char(text, *string);
    }
}

static void put_decimal(struct text *text, uint64_t value)
{
    char digits[20]; /* 2^64 has twenty. */
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        put_char(text, digits[--count]);
    }
}

struct shape {
    const char *text;
    const char *names[4]; /* Empty: no such number. */
};

static const struct shape SHAPES[MORTAR_TRACE_KINDS] = {
#define TRACE_SHAPE(name, text, a, b, c, d) [MORTAR_TRACE_##name] = {text, {a, b, c, d}},
    MORTAR_TRACE_TABLE(TRACE_SHAPE)
#undef TRACE_SHAPE
};

static void put_other(struct text *text, const struct mortar_member_id *other, const char *name)
{
    char id[MORTAR_ID_TEXT_BYTES];
    if (other == NULL && name == NULL) return;
    put_char(text, ' ');
    if (name == NULL) {
        mortar_member_id_text(other, id);
        name = id;
    }
    put_string(text, name);
}

void mortar_trace_text(const struct mortar_trace_event *event, const char *other_name,
                       char *out_text, size_t capacity)
{
    ASSERT(event->kind < MORTAR_TRACE_KINDS);
    if (capacity == 0) return;
    struct text text = {.data = out_text, .capacity = capacity};
    const struct shape *shape = &SHAPES[event->kind];
    put_string(&text, shape->text);
    put_other(&text, event->other, event->other == NULL ? NULL : other_name);
    for (size_t i = 0; i < 4; i++) {
        if (shape->names[i][0] == 0) continue;
        put_char(&text, ' ');
        put_string(&text, shape->names[i]);
        put_char(&text, '=');
        put_decimal(&text, event->numbers[i]);
    }
    text.data[text.bytes] = 0;
}
