Site.routes.draw do
  devise_for :users
  get "/me", to: "pages#me"
end
