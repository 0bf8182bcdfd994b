package offline

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// longestSum is the most bytes of a prompt that may be a sum. It also bounds the depth of the reader below.
const longestSum = 120

var (
	question = regexp.MustCompile(`^(please )?(what is|what's|how much is|calculate|compute|solve)( the result of)?( the)? `)
	spoken   = strings.NewReplacer(
		"square root of", "sqrt", "√", "sqrt ", "multiplied by", "*", "divided by", "/", "to the power of", "^",
		"plus", "+", "minus", "-", "times", "*", "squared", "^2", "×", "*", "·", "*", "÷", "/", "−", "-", "**", "^",
	)
	rootOnly = regexp.MustCompile(`^sqrt \(?([0-9.]+)\)?$`)
)

// Sum answers a prompt that is a plain sum and nothing else, such as "What is 2 + 2?" or "the square root of 16".
// False means that it is none, or one that is too big.
func Sum(prompt string) (string, bool) {
	if len(prompt) > longestSum {
		return "", false
	}
	text := strings.ToLower(strings.Join(strings.Fields(prompt), " "))
	text = question.ReplaceAllString(strings.TrimRight(text, "?!.= "), "")
	text = strings.Join(strings.Fields(spoken.Replace(strings.TrimPrefix(text, "the "))), " ")
	r := reader{rest: text}
	value, ok := r.sum()
	if !ok || r.rest != "" || r.steps == 0 {
		return "", false
	}
	said := text
	if root := rootOnly.FindStringSubmatch(text); root != nil {
		said = "The square root of " + root[1]
	}
	if value == nil {
		return said + " has no answer.", true
	}
	number, exact := decimal(value)
	if len(number) > 60 {
		return "", false
	}
	if exact && !r.rough {
		return fmt.Sprintf("%s is %s.", said, number), true
	}
	return fmt.Sprintf("%s is about %s.", said, number), true
}

// decimal writes v with at most ten digits behind the point; exact when nothing was left out.
func decimal(v *big.Rat) (text string, exact bool) {
	if v.IsInt() {
		return v.RatString(), true
	}
	text = strings.TrimRight(v.FloatString(10), "0")
	back, ok := new(big.Rat).SetString(text)
	return strings.TrimRight(text, "."), ok && back.Cmp(v) == 0
}

// reader evaluates a sum from left to right. Every method returns nil for a value that does not exist (a division
// by zero), and false for what is no sum.
type reader struct {
	rest  string
	steps int  // operations done
	rough bool // a root was rounded
}

// take removes the first of the given tokens that comes next.
func (r *reader) take(tokens ...string) string {
	r.rest = strings.TrimLeft(r.rest, " ")
	for _, token := range tokens {
		if rest, ok := strings.CutPrefix(r.rest, token); ok {
			r.rest = strings.TrimLeft(rest, " ")
			return token
		}
	}
	return ""
}

func (r *reader) sum() (*big.Rat, bool) {
	return r.chain(r.product, map[string]operation{"+": (*big.Rat).Add, "-": (*big.Rat).Sub})
}

func (r *reader) product() (*big.Rat, bool) {
	return r.chain(r.signed, map[string]operation{"*": (*big.Rat).Mul, "/": (*big.Rat).Quo, "x ": (*big.Rat).Mul})
}

type operation func(z, x, y *big.Rat) *big.Rat

// chain reads operands of one rank and joins them from the left.
func (r *reader) chain(operand func() (*big.Rat, bool), do map[string]operation) (*big.Rat, bool) {
	left, ok := operand()
	for ok {
		var op string
		for token := range do {
			if op = r.take(token); op != "" {
				break
			}
		}
		if op == "" {
			return left, true
		}
		var right *big.Rat
		if right, ok = operand(); !ok {
			return nil, false
		}
		r.steps++
		if left == nil || right == nil || op == "/" && right.Sign() == 0 {
			left = nil
			continue
		}
		left = do[op](new(big.Rat), left, right)
	}
	return nil, false
}

func (r *reader) signed() (*big.Rat, bool) {
	if r.take("-") == "" {
		return r.power()
	}
	v, ok := r.signed()
	if ok && v != nil {
		v = new(big.Rat).Neg(v)
	}
	return v, ok
}

// power is a value, or one raised to a small whole number.
func (r *reader) power() (*big.Rat, bool) {
	base, ok := r.value()
	if !ok || r.take("^") == "" {
		return base, ok
	}
	raised, ok := r.signed()
	if !ok || base == nil || raised == nil {
		return nil, ok
	}
	r.steps++
	n := raised.Num().Int64()
	bits := base.Num().BitLen() + base.Denom().BitLen()
	if !raised.IsInt() || !raised.Num().IsInt64() || n < 0 || n > 512 || int64(bits)*n > 4096 {
		return nil, false
	}
	result := big.NewRat(1, 1)
	for range n {
		result.Mul(result, base)
	}
	return result, true
}

var number = regexp.MustCompile(`^([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]+)?`)

// value is a number, a sum in brackets or a square root.
func (r *reader) value() (*big.Rat, bool) {
	switch r.take("(", "sqrt") {
	case "(":
		v, ok := r.sum()
		return v, ok && r.take(")") != ""
	case "sqrt":
		below := r.take("-") != ""
		v, ok := r.value()
		if !ok {
			return nil, false
		}
		r.steps++
		if below && v != nil {
			v = new(big.Rat).Neg(v)
		}
		return r.root(v), true
	}
	digits := number.FindString(r.rest)
	if digits == "" {
		return nil, false
	}
	r.rest = strings.TrimLeft(r.rest[len(digits):], " ")
	return new(big.Rat).SetString(strings.ReplaceAll(digits, ",", ""))
}

// root is the square root of v: exact where there is an exact one, else rounded; nil of a negative number.
func (r *reader) root(v *big.Rat) *big.Rat {
	if v == nil || v.Sign() < 0 {
		return nil
	}
	num, den := new(big.Int).Sqrt(v.Num()), new(big.Int).Sqrt(v.Denom())
	exact := new(big.Rat).SetFrac(num, den)
	if new(big.Rat).Mul(exact, exact).Cmp(v) == 0 {
		return exact
	}
	r.rough = true
	rough, _ := new(big.Float).SetPrec(256).Sqrt(new(big.Float).SetPrec(256).SetRat(v)).Rat(nil)
	return rough
}
