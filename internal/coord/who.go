// Whose a transaction is, for reports.

package coord

import "context"

// Who says whose a transaction is.
type Who struct {
	// Label is what the program calls it; "" if it said nothing.
	Label string
	// SQL is the statement that began it; "" on the page interface.
	SQL string
}

type labelKey struct{}

// WithLabel returns a context whose transactions are reported under label.
func WithLabel(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, labelKey{}, label)
}

// LabelOf returns the label of a context, or "".
func LabelOf(ctx context.Context) string {
	label, _ := ctx.Value(labelKey{}).(string)
	return label
}
