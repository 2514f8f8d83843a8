package scrape

import "collector/pkg/component"

// Components are those that scrape; they share one budget.
func Components() []component.Definition {
	return []component.Definition{
		definition(NewBudget()),
	}
}
