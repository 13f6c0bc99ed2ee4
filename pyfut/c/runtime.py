"""The C functions that generated code may need, each with what it needs itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Helper:
    """A piece of C with the headers and the other helpers that it needs."""

    text: str
    includes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


HELPERS: dict[str, Helper] = {
    "FuFloatBits": Helper(
        """\
typedef union {
	int bits;
	float value;
} FuFloatBits;"""
    ),
    "FuDoubleBits": Helper(
        """\
typedef union {
	int64_t bits;
	double value;
} FuDoubleBits;""",
        ("stdint.h",),
    ),
    "FuShared": Helper(
        """\
typedef void (*FuMethodPtr)(void *);
/** Precedes every object and array on the heap. */
typedef struct {
	size_t count;
	size_t unitSize;
	size_t refCount;
	FuMethodPtr destructor;
} FuShared;""",
        ("stddef.h",),
    ),
    "FuShared_Make": Helper(
        """\
static void *FuShared_Make(size_t count, size_t unitSize, FuMethodPtr constructor, FuMethodPtr destructor)
{
	FuShared *self = (FuShared *) calloc(1, sizeof(FuShared) + count * unitSize);
	if (self == NULL)
		return NULL;
	self->count = count;
	self->unitSize = unitSize;
	self->refCount = 1;
	self->destructor = destructor;
	if (constructor != NULL) {
		for (size_t i = 0; i < count; i++)
			constructor((char *) (self + 1) + i * unitSize);
	}
	return self + 1;
}""",
        ("stdlib.h",),
        ("FuShared",),
    ),
    "FuShared_AddRef": Helper(
        """\
static void *FuShared_AddRef(void *ptr)
{
	if (ptr != NULL)
		((FuShared *) ptr)[-1].refCount++;
	return ptr;
}""",
        ("stddef.h",),
        ("FuShared",),
    ),
    "FuShared_Release": Helper(
        """\
static void FuShared_Release(void *ptr)
{
	if (ptr == NULL)
		return;
	FuShared *self = (FuShared *) ptr - 1;
	if (--self->refCount != 0)
		return;
	if (self->destructor != NULL) {
		for (size_t i = self->count; i > 0;)
			self->destructor((char *) ptr + --i * self->unitSize);
	}
	free(self);
}""",
        ("stdlib.h",),
        ("FuShared",),
    ),
    "FuShared_ReleaseElement": Helper(
        """\
static void FuShared_ReleaseElement(void *ptr)
{
	FuShared_Release(*(void **) ptr);
}""",
        (),
        ("FuShared_Release",),
    ),
    "FuShared_Replace": Helper(
        """\
static void *FuShared_Replace(void *old, void *value)
{
	FuShared_Release(old);
	return value;
}""",
        (),
        ("FuShared_Release",),
    ),
    "FuString_Concat": Helper(
        """\
static char *FuString_Concat(const char *a, const char *b)
{
	size_t aLength = strlen(a);
	size_t bSize = strlen(b) + 1;
	char *result = (char *) malloc(aLength + bSize);
	if (result == NULL)
		abort();
	memcpy(result, a, aLength);
	memcpy(result + aLength, b, bSize);
	return result;
}""",
        ("stdlib.h", "string.h"),
    ),
    "FuString_Copy": Helper(
        """\
static char *FuString_Copy(const char *s)
{
	return FuString_Concat(s, "");
}""",
        (),
        ("FuString_Concat",),
    ),
    "FuString_Replace": Helper(
        """\
static char *FuString_Replace(char *old, char *value)
{
	free(old);
	return value;
}""",
        ("stdlib.h",),
    ),
    "FuString_FreeElement": Helper(
        """\
static void FuString_FreeElement(void *ptr)
{
	free(*(void **) ptr);
}""",
        ("stdlib.h",),
    ),
    "FuString_Format": Helper(
        """\
static char *FuString_Format(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *result = length < 0 ? NULL : (char *) malloc((size_t) length + 1);
	if (result == NULL)
		abort();
	va_start(args, format);
	vsnprintf(result, (size_t) length + 1, format, args);
	va_end(args);
	return result;
}""",
        ("stdarg.h", "stdio.h", "stdlib.h"),
    ),
    "FuString_Substring": Helper(
        """\
static char *FuString_Substring(const char *s, size_t length)
{
	char *result = (char *) malloc(length + 1);
	if (result == NULL)
		abort();
	memcpy(result, s, length);
	result[length] = '\\0';
	return result;
}""",
        ("stdlib.h", "string.h"),
    ),
    "FuString_StartsWith": Helper(
        """\
static bool FuString_StartsWith(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}""",
        ("stdbool.h", "string.h"),
    ),
    "FuString_EndsWith": Helper(
        """\
static bool FuString_EndsWith(const char *s, const char *suffix)
{
	size_t length = strlen(s);
	size_t suffixLength = strlen(suffix);
	return length >= suffixLength && strcmp(s + length - suffixLength, suffix) == 0;
}""",
        ("stdbool.h", "string.h"),
    ),
    "FuString_IndexOf": Helper(
        """\
static int FuString_IndexOf(const char *s, const char *part)
{
	const char *found = strstr(s, part);
	return found == NULL ? -1 : (int) (found - s);
}""",
        ("string.h",),
    ),
    "FuString_LastIndexOf": Helper(
        """\
static int FuString_LastIndexOf(const char *s, const char *part)
{
	size_t length = strlen(s);
	size_t partLength = strlen(part);
	if (length < partLength)
		return -1;
	for (size_t i = length - partLength + 1; i-- > 0;) {
		if (memcmp(s + i, part, partLength) == 0)
			return (int) i;
	}
	return -1;
}""",
        ("string.h",),
    ),
    "FuStrings_Contains": Helper(
        """\
static bool FuStrings_Contains(const char *const *a, int length, const char *value)
{
	for (int i = 0; i < length; i++) {
		if (strcmp(a[i], value) == 0)
			return true;
	}
	return false;
}""",
        ("stdbool.h", "string.h"),
    ),
    "FuString_ReplaceAll": Helper(
        """\
static char *FuString_ReplaceAll(const char *s, const char *old, const char *new_)
{
	size_t oldLength = strlen(old);
	size_t newLength = strlen(new_);
	size_t size = strlen(s) + 1;
	for (const char *p = s; oldLength > 0 && (p = strstr(p, old)) != NULL; p += oldLength)
		size += newLength - oldLength;
	char *result = (char *) malloc(size);
	if (result == NULL)
		abort();
	char *to = result;
	const char *p;
	while (oldLength > 0 && (p = strstr(s, old)) != NULL) {
		memcpy(to, s, (size_t) (p - s));
		to += p - s;
		memcpy(to, new_, newLength);
		to += newLength;
		s = p + oldLength;
	}
	memcpy(to, s, strlen(s) + 1);
	return result;
}""",
        ("stdlib.h", "string.h"),
    ),
}


TYPED: dict[str, str] = {
    "Max": """\
static inline {type} Fu{name}_Max({type} x, {type} y)
{{
	return x > y ? x : y;
}}""",
    "Min": """\
static inline {type} Fu{name}_Min({type} x, {type} y)
{{
	return x < y ? x : y;
}}""",
    "Clamp": """\
static inline {type} Fu{name}_Clamp({type} x, {type} low, {type} high)
{{
	return x < low ? low : x > high ? high : x;
}}""",
    "Compare": """\
static int Fu{name}_Compare(const void *pa, const void *pb)
{{
	{type} a = *(const {type} *) pa;
	{type} b = *(const {type} *) pb;
	return (a > b) - (a < b);
}}""",
    "Contains": """\
static bool Fu{name}_Contains({type} const *a, int length, {type} value)
{{
	for (int i = 0; i < length; i++) {{
		if (a[i] == value)
			return true;
	}}
	return false;
}}""",
    "Search": """\
/** Returns the index of the first element that is not less than the value. */
static int Fu{name}_Search({type} const *a, int start, int count, {type} value)
{{
	int end = start + count;
	while (start < end) {{
		int middle = start + (end - start) / 2;
		if (a[middle] < value)
			start = middle + 1;
		else
			end = middle;
	}}
	return start;
}}""",
}
"""Functions that exist for several element types."""


def typed_helper(operation: str, type_: str) -> tuple[str, str]:
    """Return the name and the text of a function for one element type."""
    words = type_.removesuffix("_t").split("_")
    name = "".join(word.capitalize() for word in words)
    return f"Fu{name}_{operation}", TYPED[operation].format(type=type_, name=name)
